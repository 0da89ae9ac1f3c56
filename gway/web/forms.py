"""From request values to a function's arguments: only what it declares, converted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from gway.errors import BadValue, did_you_mean
from gway.signature import convert
from gway.web.reply import Problem

if TYPE_CHECKING:
    from gway.web.mounts import Handler
    from gway.web.request import Request

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_TOKEN_FIELD = "csrf"


def call(request: Request, handler: Handler) -> Any:
    """Call a function with the request's values.

    API functions refuse values that they do not declare, because a misspelt name there is a
    program's mistake; pages ignore them, as links from elsewhere carry all sorts.

    :raises Problem: 400 that names the value
    """
    return handler.function(**arguments(request, handler))


def arguments(request: Request, handler: Handler) -> dict[str, Any]:
    """Return the arguments that a request gives for a function."""
    hints = hints_of(handler.function)
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(handler.function).parameters.items()
        if parameter.kind not in _VARIADIC
    }
    given = {name.replace("-", "_"): value for name, value in request.values.items()}
    if handler.kind == "api":
        _refuse_unknown(given, parameters)
    bound: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in given:
            bound[name] = _converted(name, given[name], hints.get(name, Any), parameter.default)
        elif parameter.default is parameter.empty:
            raise Problem(400, f"{name}: a value is needed", hint=f"add ?{name}=...")
    return bound


def hints_of(function: Any) -> Mapping[str, Any]:
    """Return the types of a function's parameters; unknown ones are left out."""
    return get_type_hints(inspect.unwrap(function), include_extras=True)


def _refuse_unknown(given: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    for name in given:
        if name not in declared and name != _TOKEN_FIELD:
            known = ", ".join(declared) or "none"
            raise Problem(
                400,
                f"there is no parameter '{name}'",
                hint=did_you_mean(name, list(declared)) or f"there is {known}",
            )


def _converted(name: str, value: Any, wanted: Any, default: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return _from_text(name, value, wanted, default)
    return _from_json(name, value, wanted)


def _from_text(name: str, texts: list[str], wanted: Any, default: Any) -> Any:
    """Convert the values of a query or form; an empty field leaves the default."""
    if _is_list(wanted):
        return convert(texts, wanted, name)
    if len(texts) > 1:
        raise Problem(400, f"{name}: one value is wanted, {len(texts)} were given")
    if texts[0] == "" and default is not inspect.Parameter.empty and wanted is not str:
        return default
    try:
        return convert(texts[0], wanted, name)
    except BadValue as error:
        raise Problem(400, f"{name}: {error.message}", hint=error.hint) from None


def _from_json(name: str, value: Any, wanted: Any) -> Any:
    import msgspec

    try:
        return msgspec.convert(value, wanted, strict=True)
    except (msgspec.ValidationError, TypeError) as error:
        if isinstance(value, str):
            return _from_text(name, [value], wanted, inspect.Parameter.empty)
        raise Problem(400, f"{name}: {error}") from None


def _is_list(wanted: Any) -> bool:
    origins = [get_origin(wanted), *(get_origin(part) for part in get_args(wanted))]
    return wanted in (list, tuple, set) or any(origin in (list, tuple, set) for origin in origins)
