"""Facts and decisions: how projects hear of each other without knowing each other."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pluggy

from gway.errors import DecisionFailed, GwayError, did_you_mean

hookspec = pluggy.HookspecMarker("gway")
hookimpl = pluggy.HookimplMarker("gway")

log = logging.getLogger("gway.plugins")

Call = tuple[Callable[..., object], tuple[str, ...], str]
Trace = Callable[[str], None]
Find = Callable[[str], None]

FAILED = "%s failed in %s (failure %d of this hook)"


class PluginHost:
    """Knows who subscribes to which hook, and calls them so that none harms another.

    :param trace: called with one line per hook call; None calls without a word
    :param find: called with the name of a hook that is not declared yet, to declare it
    """

    def __init__(self, trace: Trace | None = None, find: Find | None = None) -> None:
        from gway import hookspecs

        self._manager = pluggy.PluginManager("gway")
        self._calls: dict[str, tuple[Call, ...]] = {}
        self._declares: dict[str, frozenset[str]] = {}
        self._specs: set[str] = set()
        self._trace = trace
        self._find = find
        self.failures: Counter[str] = Counter()
        self.add_hookspecs(hookspecs)

    # --- who takes part ------------------------------------------------------

    def add_hookspecs(self, module: ModuleType) -> None:
        """Declare the hooks of a `hookspecs` module; a second time does nothing."""
        if module.__name__ in self._specs:
            return
        self._manager.add_hookspecs(module)
        self._specs.add(module.__name__)
        self._calls.clear()

    def register(self, plugin: object, name: str | None = None) -> None:
        """Let an object or module subscribe with its `@hookimpl` functions.

        :param name: what logs call it; its own name when None
        """
        if self._manager.is_registered(plugin):
            return
        for each in subscriptions(plugin):
            self._declared(each)
        try:
            self._manager.register(plugin, name)
        except pluggy.PluginValidationError as error:
            raise GwayError(str(error).replace("\n", " ")) from error
        self._calls.clear()
        for caller in self._manager.get_hookcallers(plugin) or ():
            firstresult = caller.spec is not None and caller.spec.opts.get("firstresult")
            for impl in caller.get_hookimpls():
                if impl.plugin is plugin and not firstresult and (impl.wrapper or impl.hookwrapper):
                    self._manager.unregister(plugin)
                    raise GwayError(
                        f"{impl.plugin_name}: '{caller.name}' is a fact and takes no wrapper",
                        "subscribe to it with a plain @hookimpl function",
                    )

    def unregister(self, plugin: object) -> None:
        """End the subscriptions of an object; one that has none is left alone."""
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)
            self._calls.clear()

    def is_registered(self, plugin: object) -> bool:
        """Say whether this very object takes part."""
        return self._manager.is_registered(plugin)

    def undeclared(self) -> list[tuple[str, str]]:
        """List `(hook, plugin)` of subscriptions to hooks that nobody declares."""
        return [
            (name, impl.plugin_name)
            for name, caller in vars(self._manager.hook).items()
            if isinstance(caller, pluggy.HookCaller) and not caller.has_spec()
            for impl in caller.get_hookimpls()
            if not impl.optionalhook
        ]

    def check(self) -> None:
        """Fail when a plugin subscribes to a hook that nobody declares."""
        for name, plugin in self.undeclared():
            raise GwayError(
                f"{plugin}: there is no hook '{name}'", did_you_mean(name, self.hook_names())
            )
        self._manager.check_pending()

    def hook_names(self) -> list[str]:
        """List the declared hooks."""
        return sorted(
            name
            for name, caller in vars(self._manager.hook).items()
            if isinstance(caller, pluggy.HookCaller) and caller.has_spec()
        )

    def has(self, name: str) -> bool:
        """Say whether anybody subscribes to a hook."""
        calls = self._calls.get(name)
        return bool(self._compile(name) if calls is None else calls)

    # --- calling -------------------------------------------------------------

    def emit(self, name: str, /, **facts: Any) -> int:
        """Tell all subscribers a fact, each alone; give the number that failed.

        A fact that is not told whole is the teller's mistake: an error, before anybody hears it.
        """
        calls = self._calls.get(name)
        if calls is None:
            calls = self._compile(name)
        if calls and not facts.keys() >= self._declares[name]:
            raise self._left_out(name, facts)
        failed = 0
        for function, wanted, plugin in calls:
            arguments = [facts[each] for each in wanted]
            try:
                function(*arguments)
            except Exception:
                failed += 1
                if self._count(name):
                    log.exception(FAILED, plugin, name, self.failures[name])
        if self._trace is not None:
            self._trace(_line(name, facts, f"{len(calls)} told, {failed} failed"))
        return failed

    def decide(self, name: str, /, **question: Any) -> Any:
        """Ask for a decision: the first answer that is not None, else None.

        A subscriber that raises ends the asking with :class:`DecisionFailed`.
        """
        caller = self._caller(name)
        try:
            answer = caller(**question)
        except Exception as error:
            if self._count(name):
                log.exception(FAILED, _culprit(error), name, self.failures[name])
            raise DecisionFailed(f"the decision '{name}' failed: {error}") from error
        if self._trace is not None:
            self._trace(_line(name, question, repr(answer)))
        return answer

    def collect(self, name: str, /, **question: Any) -> list[Any]:
        """Ask all subscribers and give the answers of those that did not fail."""
        answers: list[Any] = []
        calls = self._calls.get(name) or self._compile(name)
        if calls and not question.keys() >= self._declares[name]:
            raise self._left_out(name, question)
        for function, wanted, plugin in calls:
            arguments = [question[each] for each in wanted]
            try:
                answers.append(function(*arguments))
            except Exception:
                if self._count(name):
                    log.exception(FAILED, plugin, name, self.failures[name])
        return answers

    def _declared(self, name: str) -> pluggy.HookCaller | None:
        caller = getattr(self._manager.hook, name, None)
        if (caller is None or not caller.has_spec()) and self._find is not None:
            self._find(name)
            caller = getattr(self._manager.hook, name, None)
        if isinstance(caller, pluggy.HookCaller) and caller.has_spec():
            return caller
        return None

    def _caller(self, name: str) -> pluggy.HookCaller:
        caller = self._declared(name)
        if caller is None:
            hint = did_you_mean(name, self.hook_names()) or "load the project that declares it"
            raise GwayError(f"there is no hook '{name}'", hint)
        return caller

    def _compile(self, name: str) -> tuple[Call, ...]:
        caller = self._caller(name)
        calls = tuple(
            (impl.function, tuple(impl.argnames), impl.plugin_name)
            for impl in reversed(caller.get_hookimpls())
        )
        self._calls[name] = calls
        self._declares[name] = frozenset(caller.spec.argnames if caller.spec else ())
        return calls

    def _left_out(self, name: str, told: dict[str, Any]) -> GwayError:
        missing = ", ".join(f"'{each}'" for each in sorted(self._declares[name] - told.keys()))
        return GwayError(
            f"the hook '{name}' was called without {missing}", "give all that it declares"
        )

    def _count(self, name: str) -> bool:
        """Count a failure, and say whether it is one to log."""
        self.failures[name] += 1
        # A subscriber that fails on each frame must not fill the disk with tracebacks.
        return self.failures[name] <= 10 or self.failures[name] % 1000 == 0


def subscriptions(plugin: object) -> list[str]:
    """List the hooks that a module or object subscribes to."""
    if not isinstance(plugin, ModuleType):
        return [name for name in dir(type(plugin)) if hasattr(getattr(plugin, name), "gway_impl")]
    return [name for name, value in vars(plugin).items() if hasattr(value, "gway_impl")]


def _culprit(error: BaseException) -> str:
    trace = error.__traceback__
    where = "a subscriber"
    while trace is not None:
        where = str(trace.tb_frame.f_globals.get("__name__", where))
        if not where.startswith(("pluggy", "gway.plugins")):
            return where
        trace = trace.tb_next
    return where


def _line(name: str, values: dict[str, Any], outcome: str) -> str:
    told = ", ".join(f"{key}={value!r:.80}" for key, value in values.items())
    return f"hook {name}({told}) -> {outcome}"


def print_trace(line: str) -> None:
    """Print one traced call to stderr, control characters escaped by `repr`."""
    print(line, file=sys.stderr)
