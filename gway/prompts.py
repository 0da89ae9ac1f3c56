"""Asking the person at the terminal for what nobody else may see."""

from __future__ import annotations

from getpass import getpass
from typing import TextIO

from gway.errors import GwayError, UsageError


class Cancelled(GwayError):
    """Who was asked ended the input (Ctrl-D) in the place of an answer."""

    exit_code = 130


def ask_hidden(question: str, stream: TextIO | None = None) -> str:
    """Ask for a secret; what is typed is not shown.

    :param question: with a colon and a space at its end
    :param stream: where the question is written; default: the terminal
    :raises Cancelled: the input ended
    """
    try:
        return getpass(question, stream)
    except EOFError:
        raise Cancelled("cancelled: there was no answer, and nothing was changed") from None


def ask_twice(question: str, what: str) -> str:
    """Ask for a new secret, and once more if it is not empty.

    :param what: its plural, for the error
    :raises UsageError: the two differ
    :raises Cancelled: the input ended
    """
    secret = ask_hidden(question)
    if secret and ask_hidden("The same again: ") != secret:
        raise UsageError(f"these were two different {what}")
    return secret
