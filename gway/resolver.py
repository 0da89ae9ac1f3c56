"""The `gw` object: names become projects, projects become functions."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gway.errors import GwayError, UnknownName, did_you_mean
from gway.jobs import Jobs
from gway.loader import HOOKSPECS, PACKAGE, Place, bundled, find_roots, mount
from gway.native import is_patched
from gway.results import Results
from gway.settings import Settings
from gway.workspace import Workspace, find_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from gway.plugins import PluginHost
    from gway.remote import Server

S = TypeVar("S")


class Node:
    """A project or a namespace of projects, reached as an attribute of `gw`."""

    def __init__(self, gateway: Gateway, place: Place) -> None:
        self._gateway = gateway
        self._place = place
        self._module: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        place = self._place
        if not place.is_project:
            return self._gateway.node(f"{place.name}.{name}")
        function = find_function(self._gateway.load(place.name)._functions(), name)
        if function is None:
            raise unknown_verb(name, place.name, self._functions())
        self.__dict__[name] = function
        return function

    def __dir__(self) -> list[str]:
        if self._place.is_project:
            return sorted(self._gateway.load(self._place.name)._functions())
        return [child.name.rpartition(".")[2] for child in mount().children(self._place)]

    def __repr__(self) -> str:
        return f"<gway {'project' if self._place.is_project else 'namespace'} {self._place.name}>"

    def _functions(self) -> dict[str, FunctionType]:
        return public_functions(self._module) if self._module is not None else {}


class Gateway:
    """One workspace with its projects, settings, plugins, services and results.

    :param workspace: the folder; found as the command line finds it when None
    :param env: what to read instead of the process's environment
    :param now: the clock, giving aware UTC times
    """

    def __init__(
        self,
        workspace: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.env = os.environ if env is None else env
        root = find_root(workspace, self.env, os.getcwd())
        self.workspace = Workspace(root, self._choose_site)
        self.roots = find_roots(root, self.env)
        self.settings = Settings(self.env, root)
        self.results = Results()
        self.jobs = Jobs()
        self.closed = False
        # Off while a command line shows a view as a table: markup would cost more than the data.
        self.renders = True
        self.at: Server | None = None
        self._serving = False
        self._now = now
        self._plugins: PluginHost | None = None
        self._nodes: dict[str, Node] = {}
        self._services: dict[type, Any] = {}
        self._lock = threading.RLock()

    # --- names ---------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.node(name)

    def __dir__(self) -> list[str]:
        names = [child.name for child in self._mount().children()]
        return [*super().__dir__(), *names]

    def node(self, name: str) -> Node:
        """Give a project or namespace by its dotted name, without importing it."""
        node = self._nodes.get(name)
        if node is None:
            place = self._mount().locate(name)
            if place is None:
                raise self._unknown(name)
            node = self._nodes[name] = Node(self, place)
        return node

    def load(self, name: str) -> Node:
        """Import a project, declare its hooks and register it with the plugins.

        :param name: dotted, such as "ocpp.data"
        """
        node = self.node(name)
        if node._module is not None or not node._place.is_project:
            return node
        with self._lock:
            if node._module is None:
                module = import_module(node._place.module)
                self.settings.declare(*getattr(module, "SETTINGS", ()))
                self._join(node._place, module)
                node._module = module
                if self._plugins is not None and self._plugins.has("gway_project_loaded"):
                    self._plugins.emit("gway_project_loaded", name=name)
        return node

    def load_siblings(self, name: str) -> list[Node]:
        """Load the user's own projects that share a namespace with the bundled ones.

        A server calls this when it sets up a project, so that a `projects/ocpp/tariff.py`
        in the workspace hears the facts of `ocpp` without being named anywhere.

        :param name: a namespace such as "ocpp", or a project in it such as "ocpp.csms"
        """
        place = self.node(name)._place
        if place.is_project:
            namespace, _, _ = name.rpartition(".")
            if not namespace:
                return []
            place = self.node(namespace)._place
        ours = bundled("projects") + os.sep
        return [
            self.load(child.name)
            for child in self._mount().projects(place)
            if not child.file.startswith(ours)
        ]

    def _mount(self) -> Any:
        mounted = mount()
        mounted.set_roots(self.roots)
        return mounted

    def _unknown(self, name: str) -> UnknownName:
        namespace, _, last = name.rpartition(".")
        parent = self._mount().locate(namespace) if namespace else None
        if namespace and parent is None:
            return self._unknown(namespace)
        known = [child.name.rpartition(".")[2] for child in self._mount().children(parent)]
        where = f"project '{last}' in {namespace}" if namespace else f"project '{last}'"
        return UnknownName(f"no {where}", did_you_mean(last, known) or "see `gway projects`")

    def _join(self, place: Place, module: ModuleType) -> None:
        """Register a module that has hooks; one that has none costs no pluggy."""
        if not has_hooks(module) and self._plugins is None:
            return
        self._declare_hooks(place.module)
        if has_hooks(module):
            self.plugins.register(module, place.name)
            try:
                self.plugins.check()
            except GwayError:
                self.plugins.unregister(module)
                raise

    def _declare_hooks(self, module: str) -> None:
        """Declare the hookspecs of every folder on the way down to a module."""
        parts = module.split(".")
        for depth in range(3, len(parts) + 1):
            name = ".".join([*parts[: depth - 1], HOOKSPECS])
            if self._mount().find_spec(name) is not None:
                self.plugins.add_hookspecs(import_module(name))

    def _find_hook(self, name: str) -> None:
        # The first word of a hook is the folder that declares it, so that whoever
        # emits or subscribes first finds it declared.
        self._declare_hooks(f"{PACKAGE}.{name.partition('_')[0]}.{HOOKSPECS}")

    # --- what it offers ------------------------------------------------------

    @property
    def plugins(self) -> PluginHost:
        """The hooks and who subscribes to them."""
        if self._plugins is None:
            from gway.plugins import PluginHost, print_trace

            with self._lock:
                if self._plugins is None:
                    traced = "hooks" in str(self.settings.get("TRACE")).split(",")
                    self._plugins = PluginHost(print_trace if traced else None, self._find_hook)
        return self._plugins

    @property
    def serving(self) -> bool:
        """Whether this process holds the state that live verbs work on."""
        return self._serving

    @serving.setter
    def serving(self, value: bool) -> None:
        self._serving = value
        logs = sys.modules.get("gway.logs")
        if value and logs is not None and self.has_service(logs.Logs):
            self.service(logs.Logs).serve()

    def _choose_site(self) -> str:
        from gway.site import checked, choose

        given = checked(str(self.settings.get("SITE")))
        if given or self.settings.source("SITE") != "default" or self._serving or is_patched():
            return given  # who serves has the site that it was given, not that of another
        found = choose(self.workspace.root)
        if found and sys.stderr.isatty():
            print(f"gway: site {found} (work/{found})", file=sys.stderr)
        return found

    def now(self) -> datetime:
        """Tell the time, aware, in UTC."""
        return datetime.now(UTC) if self._now is None else self._now()

    def service(self, cls: type[S]) -> S:
        """Give the one instance of a class in this gateway, made as `cls(gw)` at first use.

        If it has a `close()`, that is called when the gateway closes, the latest first; one
        with a true `closes_first` is closed before all others, and must bear a second call.
        """
        found = self._services.get(cls)
        if found is not None:
            return cast("S", found)
        with self._lock:
            found = self._services.get(cls)
            if found is None:
                if self.closed:
                    raise GwayError(f"the gateway is closed; it makes no {cls.__name__}")
                make = cast("Callable[[Gateway], S]", cls)
                found = self._services[cls] = make(self)
            return cast("S", found)

    def has_service(self, cls: type) -> bool:
        """Say whether the instance of a class was made."""
        return cls in self._services

    def has_services(self) -> bool:
        """Say whether there is anything to close."""
        return bool(self._services)

    def close(self) -> None:
        """Close all services, the latest first; an error in one does not spare the others."""
        if self.closed:
            return
        self.jobs.stop()
        # A server ends first: what is in flight still needs all the others.
        for service in reversed(list(self._services.values())):
            if getattr(service, "closes_first", False):
                self._end(service)
        self.closed = True
        while self._services:
            _, service = self._services.popitem()
            self._end(service)
        self.serving = False

    def _end(self, service: Any) -> None:
        close = getattr(service, "close", None)
        if close is None:
            return
        try:
            close()
        except Exception:
            import logging

            logging.getLogger("gway").exception("closing %s failed", type(service).__name__)

    def __repr__(self) -> str:
        return f"Gateway({str(self.workspace.root)!r})"


class Proxy:
    """Stands for the gateway in use; `gway.gw` is the only one."""

    def __init__(self) -> None:
        object.__setattr__(self, "_gateway", None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(current(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(current(), name, value)

    def __dir__(self) -> list[str]:
        return dir(current())

    def __repr__(self) -> str:
        return repr(current())


_proxy = Proxy()
gw = cast("Gateway", _proxy)


def install(gateway: Gateway | None) -> Gateway | None:
    """Make `gw` stand for another gateway; give the one before."""
    before: Gateway | None = _proxy.__dict__["_gateway"]
    _proxy.__dict__["_gateway"] = gateway
    mount().set_roots(gateway.roots if gateway is not None else None)
    return before


def current() -> Gateway:
    """Give the gateway in use; the first call makes one for the current folder."""
    gateway: Gateway | None = _proxy.__dict__["_gateway"]
    if gateway is None:
        gateway = Gateway()
        install(gateway)
    return gateway


@contextmanager
def use(gateway: Gateway) -> Iterator[Gateway]:
    """Let `gw` stand for `gateway` inside the block (it is not closed by this)."""
    before = install(gateway)
    try:
        yield gateway
    finally:
        install(before)


# --- functions ---------------------------------------------------------------


def public_functions(module: ModuleType) -> dict[str, FunctionType]:
    """List the functions of a module that are verbs, pages or API calls.

    Those are the functions it defines (or names in `__all__`, then also those of its
    parts) that have no leading underscore and are no hooks; `ws_` ones are included.
    """
    named = getattr(module, "__all__", None)
    found: dict[str, FunctionType] = {}
    for name in vars(module) if named is None else named:
        value = getattr(module, name, None)
        if not isinstance(value, FunctionType) or name.startswith("_"):
            continue
        if hasattr(value, "gway_impl") or hasattr(value, "gway_spec"):
            continue
        if named is not None or value.__module__ == module.__name__:
            found[name] = value
    return found


def has_hooks(module: ModuleType) -> bool:
    """Say whether a module subscribes to any hook."""
    return any(hasattr(value, "gway_impl") for value in vars(module).values())


def find_function(functions: Mapping[str, FunctionType], name: str) -> FunctionType | None:
    """Find a function by any spelling of its name: dashes, and `setup` for `setup_app`."""
    name = name.replace("-", "_")
    return functions.get(name) or functions.get(f"{name}_app")


def unknown_verb(name: str, project: str, functions: Mapping[str, FunctionType]) -> UnknownName:
    """Make the error for a verb that a project does not have."""
    known = [each.replace("_", "-") for each in functions if not each.startswith("ws_")]
    return UnknownName(
        f"no verb '{name}' in {project}", did_you_mean(name, known) or f"see `gway help {project}`"
    )
