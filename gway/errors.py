"""Errors that a person can act on: what happened, and a hint what to do."""

from __future__ import annotations

from os import PathLike


class GwayError(Exception):
    """Something failed in a way that one sentence explains.

    :param message: what happened, with the value, and why
    :param hint: what to do about it
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GwayError):
    """The command was written in a way that cannot be run."""

    exit_code = 2


class UnknownName(UsageError, AttributeError):
    """A project, verb, option, setting or recipe that does not exist."""


class BadValue(UsageError):
    """A value that cannot become what a parameter asks for.

    :param parameter: the name of the parameter it was meant for
    """

    def __init__(self, parameter: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.parameter = parameter


class DecisionFailed(GwayError):
    """A plugin failed while deciding; the answer is no."""


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


def in_words(error: Exception) -> str:
    """Say what an error is that is no GwayError; one about a file names the file first."""
    if isinstance(error, OSError) and isinstance(error.filename, (str, PathLike)):
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def did_you_mean(name: str, known: list[str] | tuple[str, ...] | set[str]) -> str | None:
    """Say which known names are closest to `name`, or None when none is close."""
    from difflib import get_close_matches

    def fold(text: str) -> str:
        return text.lower().lstrip("-").replace("-", "_")

    folded = {fold(candidate): candidate for candidate in sorted(known)}
    wanted = fold(name)
    near = get_close_matches(wanted, list(folded), n=3, cutoff=0.6)
    if not near:
        near = [candidate for candidate in folded if wanted and candidate.startswith(wanted)][:3]
    if not near:
        return None
    return "did you mean " + " or ".join(f"'{folded[candidate]}'" for candidate in near) + "?"
