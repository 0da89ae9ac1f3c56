"""From request values to a function's arguments: only what it declares, converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gway.conversion import convert, is_list, without_none
from gway.errors import BadValue, did_you_mean
from gway.web.reply import Problem
from gway.web.request import Texts

if TYPE_CHECKING:
    from gway.signature import Param
    from gway.web.mounts import Handler
    from gway.web.request import Request

TOKEN_FIELD = "csrf"


class MissingValue(Problem):
    """A value that a function cannot do without was not given."""

    def __init__(self, name: str) -> None:
        super().__init__(400, f"{name}: a value is needed", hint=f"add ?{name}=...")


def arguments(request: Request, handler: Handler) -> dict[str, Any]:
    """Return the arguments that a request gives for a function.

    API functions refuse values that they do not declare, because a misspelt name there is a
    program's mistake; pages ignore them, as links from elsewhere carry all sorts.

    :raises Problem: 400 that names the value
    """
    given = {name.replace("-", "_"): value for name, value in request.values.items()}
    params = handler.signature.params
    if handler.kind == "api":
        _refuse_unknown(given, [param.name for param in params])
    bound: dict[str, Any] = {}
    for param in params:
        if param.name in given:
            try:
                bound[param.name] = _converted(param, given[param.name])
            except BadValue as error:
                raise Problem(400, error.message, hint=error.hint) from None
        elif param.required:
            raise MissingValue(param.name)
    return bound


def _refuse_unknown(given: Mapping[str, Any], declared: list[str]) -> None:
    for name in given:
        if name not in declared and name != TOKEN_FIELD:
            known = ", ".join(declared) or "none"
            raise Problem(
                400,
                f"there is no parameter '{name}'",
                hint=did_you_mean(name, declared) or f"there is {known}",
            )


def _converted(param: Param, value: Any) -> Any:
    if is_list(param.annotation) or not isinstance(value, Texts):
        return convert(value, param.annotation, param.name)
    if len(value) > 1:
        raise BadValue(param.name, f"{param.name}: one value is wanted, {len(value)} were given")
    if value[0] == "" and not param.required and without_none(param.annotation) is not str:
        return param.default  # a field of a form that was left empty
    return convert(value[0], param.annotation, param.name)
