"""The verbs of gway itself: help, lists, recipes, waiting, tests, completion."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from gway.errors import GwayError, UsageError, did_you_mean
from gway.front import split_chain

if TYPE_CHECKING:
    from gway.recipes import RecipeRunner
    from gway.runner import Runner

NAMES = (
    "run",
    "site",
    "until",
    "every",
    "help",
    "reference",
    "projects",
    "settings",
    "test",
    "completion",
)
POLL_S = 0.2


class Commands:
    """The built-in verbs, bound to what runs them."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._gateway = runner.gateway
        self._recipes: RecipeRunner | None = None

    def names(self) -> list[str]:
        """List the built-in verbs."""
        return list(NAMES)

    def find(self, name: str) -> Callable[..., Any] | None:
        """Find a built-in verb."""
        return getattr(self, name) if name in NAMES else None

    # --- lists ---------------------------------------------------------------

    def help(self, *name: str) -> str:
        """Explain gway, a project, a verb or a recipe.

        :param name: such as `ocpp.csms`, `ocpp csms reset` or `etron/local`
        """
        from gway import helptext
        from gway.output import Styled

        return Styled(helptext.explain(self._runner, list(name)))

    def reference(self, *, to: Path | None = None) -> str | None:
        """Write the reference of every project, hook, setting, metric and recipe.

        :param to: a file for it; default: the terminal
        """
        from gway.reference import write

        text = write(self._runner)
        if to is None:
            return text
        to.write_text(text, encoding="utf-8")
        return None

    def projects(self) -> list[dict[str, Any]]:
        """List the projects that have functions, and where they come from."""
        from gway.catalog import listed_projects

        return [
            {
                "project": place.name,
                "summary": summary,
                "file": _short(place.file),
            }
            for place, summary in listed_projects()
        ]

    def settings(self) -> list[dict[str, Any]]:
        """List all settings with their values, and where each value came from."""
        from gway.catalog import declare_all, settings_rows

        for module, error in declare_all(self._gateway):
            print(f"gway: the settings of {module} cannot be read: {error}", file=sys.stderr)
        return settings_rows(self._gateway)

    def completion(self, shell: Literal["bash", "zsh", "fish"]) -> str:
        """Print the code that makes a shell complete gway's words.

        Put this into ~/.bashrc:  eval "$(gway completion bash)"

        :param shell: bash, zsh or fish
        """
        from gway.completion import shell_code

        return shell_code(shell)

    # --- recipes -------------------------------------------------------------

    def run(self, recipe: str, *, check: bool = False, **values: str) -> None:
        """Run a recipe.

        `gway run etron/local --port 9999` fills `[port]` in it.

        :param recipe: path or name, such as `etron/local`
        :param check: resolve every name and option, and run nothing
        :param values: what to fill into `[key]`, as --key value
        """
        raise NotImplementedError("run_recipe is called in its place")

    def run_recipe(self, args: list[Any], kwargs: dict[str, Any], outer: Mapping[str, Any]) -> None:
        """Run, or with `check` only check, the recipe that a command line names."""
        name, check, values = _recipe_call(args, kwargs)
        runner = self._recipe_runner()
        recipe = runner.load(name)
        self._know(values, runner.names(recipe), recipe.label)
        if not check:
            runner.run(recipe, {**outer, **values})
            self._gateway.jobs.released = True
            return
        errors = runner.check(recipe, {**outer, **values}, set())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            self._tell(errors)
            raise UsageError(f"{recipe.label}: {len(errors)} lines cannot run")
        print(f"{recipe.label}: all {len(recipe.lines)} commands can run")

    def check_recipe(
        self, args: list[Any], kwargs: dict[str, Any], outer: Mapping[str, Any], nouns: set[str]
    ) -> None:
        """Check a recipe that another one runs."""
        from gway.recipes import RecipeErrors

        name, _, values = _recipe_call(args, kwargs)
        runner = self._recipe_runner()
        recipe = runner.load(name)
        self._know(values, runner.names(recipe), recipe.label)
        errors = runner.check(recipe, {**outer, **values}, nouns)
        if errors:
            raise RecipeErrors(recipe.label, errors)

    def _recipe_runner(self) -> RecipeRunner:
        if self._recipes is None:
            from gway.recipes import RecipeRunner

            self._recipes = RecipeRunner(self._runner)
        return self._recipes

    def _know(self, values: Mapping[str, Any], names: Mapping[str, Any], label: str) -> None:
        known = [name.replace("-", "_") for name in names]
        for key in values:
            if key not in known:
                options = [f"--{name.replace('_', '-')}" for name in [*known, "check"]]
                hint = did_you_mean(key, options)
                raise UsageError(
                    f"{label} has no [{key}] to fill",
                    hint or "it takes " + (", ".join(options[:-1]) or "nothing"),
                )

    def _tell(self, errors: list[Any]) -> None:
        for error in errors:
            print(f"gway: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)

    def site(self, name: str) -> None:
        """Keep what this run writes apart, in work/NAME; to be said before all else.

        `--site` on the command line has the last word.

        :param name: the folder below work/; `.` is work/ itself
        """
        from gway.site import checked

        if self._gateway.settings.source("SITE") == "default":
            self._gateway.workspace.settle(checked(name))

    # --- waiting -------------------------------------------------------------

    def until(
        self,
        *,
        done: bool = False,
        forever: bool = False,
        minutes: float | None = None,
        seconds: float | None = None,
        file: Path | None = None,
    ) -> None:
        """Keep servers and background work running until something happens.

        :param done: until all background work (simulators, `every`) has ended
        :param forever: until Ctrl-C or SIGTERM
        :param minutes: at most this long
        :param seconds: at most this long
        :param file: until this file appears or changes
        """
        if not (done or forever or file) and minutes is None and seconds is None:
            raise UsageError(
                "'until' needs to know what to wait for",
                "one of --done, --forever, --minutes N, --seconds N, --file PATH",
            )
        before = _state(file)
        jobs = self._gateway.jobs
        jobs.released = True
        limit_s = (minutes or 0) * 60 + (seconds or 0)
        timed = minutes is not None or seconds is not None
        deadline = monotonic() + limit_s if timed else None
        while not (done and not jobs.alive()) and not (file and _state(file) != before):
            left = POLL_S if deadline is None else min(POLL_S, deadline - monotonic())
            if left <= 0 or jobs.wait(left):
                break
        failed = jobs.errors() if done else []
        if failed:
            raise GwayError(f"background work failed: {failed[0]}", "the log has more")

    def every(self, words: list[Any], values: Mapping[str, Any]) -> None:
        """Run a verb again and again in the background: every --seconds N [--times N] VERB ..."""
        seconds, times, rest = _every(words)
        self._runner.find(rest)

        def repeat() -> None:
            import logging

            left = times
            while left is None or left > 0:
                try:
                    self._runner.run_chain(rest, values)
                except Exception:
                    # The next time may go well: a report must not end with one bad night.
                    logging.getLogger("gway.every").exception("%s failed", " ".join(map(str, rest)))
                left = None if left is None else left - 1
                if left == 0 or self._gateway.jobs.wait(seconds):
                    return

        self._gateway.jobs.spawn(repeat, name=f"every {seconds:g} s {rest[0]}")

    def test(self, words: list[Any], values: Mapping[str, Any]) -> Any:
        """Run the tests with pytest: test [--flags a,b] [pytest arguments]; `all` is every flag."""
        from gway.runner import ExitCode
        from gway.testing import run_tests

        return ExitCode(run_tests(self._gateway, [str(word) for word in words]))

    def check_raw(
        self,
        function: Callable[..., Any],
        words: list[Any],
        values: Mapping[str, Any],
        nouns: set[str],
    ) -> None:
        """Check a line of `every` or `test` without running it."""
        if function == self.every:
            self._runner.check_chain(_every(words)[2], values, nouns)

    every.__gway_raw__ = True  # type: ignore[attr-defined]
    test.__gway_raw__ = True  # type: ignore[attr-defined]


def _recipe_call(args: list[Any], kwargs: dict[str, Any]) -> tuple[str, bool, dict[str, Any]]:
    values = dict(kwargs)
    name = str(args[0]) if args else str(values.pop("recipe"))
    return name, bool(values.pop("check", False)), values


def _every(words: list[Any]) -> tuple[float, int | None, list[Any]]:
    """Read `--seconds N [--times N]` and give the words of the verb after them."""
    from gway.conversion import convert

    usage = "usage: every --seconds N [--times N] VERB ..."
    seconds: float | None = None
    times: int | None = None
    rest = list(words)
    while rest and str(rest[0]).startswith("--"):
        name, equals, text = str(rest.pop(0)).partition("=")
        if not equals:
            if not rest:
                raise UsageError(f"'every': {name} needs a value", usage)
            text = rest.pop(0)
        if name == "--seconds":
            seconds = convert(text, float, name)
        elif name == "--times":
            times = convert(text, int, name)
        else:
            hint = did_you_mean(name, ["--seconds", "--times"])
            raise UsageError(f"'every' has no option '{name}'", hint or usage)
    if seconds is None or seconds <= 0 or not rest:
        raise UsageError("'every' needs --seconds above 0 and a verb", usage)
    split_chain(rest)
    return seconds, times, rest


def _state(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _short(file: str) -> str:
    here = os.getcwd() + os.sep
    return file.removeprefix(here)
