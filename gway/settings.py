"""Settings: a flag before `GWAY_*` in the environment, before `.env`, before the default."""

from __future__ import annotations

import os

from gway.errors import BadValue, UnknownName, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

PREFIX = "GWAY_"


class Setting:
    """One thing that an operator may set.

    :param name: in capitals, without `GWAY_`, with its unit: "OCPP_CALL_TIMEOUT_S"
    :param default: what it is when nobody sets it
    :param kind: the type of its value, converted as on the command line
    :param help: one sentence
    :param secret: never shown
    """

    __slots__ = ("default", "help", "kind", "name", "secret")

    def __init__(
        self,
        name: str,
        default: Any = None,
        kind: Any = str,
        help: str = "",
        *,
        secret: bool = False,
    ) -> None:
        self.name = name.removeprefix(PREFIX)
        self.default = default
        self.kind = kind
        self.help = help
        self.secret = secret

    def __repr__(self) -> str:
        return f"Setting({self.name!r}, default={self.default!r})"


FRAMEWORK = (
    Setting("WORKSPACE", None, str, "folder with projects/, recipes/ and work/"),
    Setting("SITE", "", str, "which server of this workspace: its folder below work/"),
    Setting("PATH", "", str, "more folders with projects, separated like PATH"),
    Setting("TRACE", "", str, "'hooks' prints every hook call to stderr"),
    Setting("LOG_LEVEL", "INFO", str, "least level of records kept in the log file"),
    Setting("LOG_STDERR_LEVEL", "WARNING", str, "least level of records shown on stderr"),
    Setting("LOG_FILE", "logs/gway.log", str, "log file below work/; empty for none"),
    Setting("LOG_MAX_BYTES", 10_000_000, int, "size at which the log file is rotated"),
    Setting("LOG_KEEP", 5, int, "rotated log files to keep"),
    Setting("TOKEN", None, str, "bearer token for --at URL", secret=True),
    Setting("TOKEN_FILE", "", str, "file with the token for --at URL, for its owner alone"),
    Setting("REMOTE_CA", "", str, "PEM file of certificates to trust for --at URL, too"),
    Setting("REMOTE_TIMEOUT_S", 60.0, float, "how long a forwarded verb waits for its answer"),
    Setting("STOP_TIMEOUT_S", 5.0, float, "how long a shutdown may take before it is cut off"),
    Setting("WEB_HOSTS", "", str, "more host names that browsers may call the server by"),
    Setting("TEST_FLAGS", "", str, "test flags that are on, separated by commas"),
)


class Settings:
    """The settings of one gateway: what is declared, and where each value came from.

    :param root: the workspace's folder, whose `.env` is read at first use
    """

    def __init__(self, env: Mapping[str, str], root: str | os.PathLike[str]) -> None:
        self._env = env
        self._file = os.path.join(root, ".env")
        self._from_file: dict[str, str] | None = None
        self._flags: dict[str, Any] = {}
        self._declared: dict[str, Setting] = {each.name: each for each in FRAMEWORK}

    def declare(self, *settings: Setting) -> None:
        """Make settings known; a second declaration of a name replaces the first."""
        for each in settings:
            self._declared[each.name] = each

    def override(self, name: str, value: Any) -> None:
        """Set a value as a flag does: before everything else; a text is converted."""
        setting = self._find(name)
        converted = self._convert(setting, value, "flag") if isinstance(value, str) else value
        self._flags[setting.name] = converted

    def get(self, name: str | Setting) -> Any:
        """Give the value of a setting, in its kind.

        :param name: with or without `GWAY_`; a :class:`Setting` is declared by the way
        """
        if isinstance(name, Setting):
            self._declared.setdefault(name.name, name)
            name = name.name
        return self._value(self._find(name))[0]

    def is_secret(self, name: str) -> bool:
        """Say whether the value of a setting is never to be shown."""
        return self._find(name).secret

    def source(self, name: str) -> str:
        """Say where the value comes from: "flag", "environment", ".env" or "default"."""
        return self._value(self._find(name))[1]

    def declared(self) -> Iterable[Setting]:
        """List all declared settings by name."""
        return [self._declared[name] for name in sorted(self._declared)]

    def _find(self, name: str) -> Setting:
        setting = self._declared.get(name.removeprefix(PREFIX))
        if setting is None:
            raise UnknownName(f"no setting '{name}'", did_you_mean(name, set(self._declared)))
        return setting

    def _value(self, setting: Setting) -> tuple[Any, str]:
        if setting.name in self._flags:
            return self._flags[setting.name], "flag"
        variable = PREFIX + setting.name
        if variable in self._env:
            return self._convert(setting, self._env[variable], "environment"), "environment"
        if self._from_file is None:
            self._from_file = read_env_file(self._file)
        if variable in self._from_file:
            return self._convert(setting, self._from_file[variable], ".env"), ".env"
        return setting.default, "default"

    def _convert(self, setting: Setting, text: str, source: str) -> Any:
        if setting.kind is str:
            return text
        from gway.conversion import convert, describe

        try:
            return convert(text, setting.kind, setting.name)
        except BadValue as error:
            shown = "its value" if setting.secret else repr(text)
            hint = error.hint or f"it should be: {describe(setting.kind)}"
            raise UsageError(
                f"{PREFIX}{setting.name} ({source}): {shown} cannot be used", hint
            ) from None


def read_env_file(path: str) -> dict[str, str]:
    """Read `KEY=value` lines; `#` comments, `export` and quotes as a shell has them."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        key, equals, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key.isidentifier():
            raise UsageError(f"{path}:{number}: not a KEY=value line", "write GWAY_NAME=value")
        if value[:1] in ("'", '"') and value.endswith(value[0]) and len(value) > 1:
            value = value[1:-1]
        else:
            value = value.split(" #", 1)[0].rstrip()
        values[key] = value
    return values
