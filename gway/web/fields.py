"""What a view asks for, as a form: one field for each of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gway.conversion import choices_of, is_flag, is_list, without_none
from gway.web import formats

if TYPE_CHECKING:
    from gway.signature import Param
    from gway.web.mounts import Handler

_FLAG = ("yes", "no")


class Field(NamedTuple):
    """A field of a form.

    :param kind: of an `<input>`, or "choice" for a `<select>`
    :param value: what it holds at first, as text
    :param several: whether several of its choices may be taken
    """

    name: str
    label: str
    kind: str
    value: str
    required: bool
    help: str
    choices: tuple[str, ...] = ()
    several: bool = False


class Form(NamedTuple):
    """A view that needs values, with a field for each of its parameters."""

    path: str
    title: str
    about: str
    fields: tuple[Field, ...]


def form_of(handler: Handler, path: str) -> Form:
    """Make the form of a view.

    :param path: the view's address
    """
    fields = tuple(map(_field, handler.signature.params))
    return Form(path, formats.label(handler.name), handler.signature.summary, fields)


def _field(param: Param) -> Field:
    flag = is_flag(param.annotation)
    several = is_list(param.annotation)
    choices = _FLAG if flag else tuple(choices_of(param.annotation))
    return Field(
        name=param.name,
        label=formats.label(param.name),
        kind="choice" if choices else _kind(param),
        value="" if param.required else _text(param.default),
        required=param.required,
        help=param.help,
        choices=choices,
        several=several,
    )


def _kind(param: Param) -> str:
    return "number" if without_none(param.annotation) in (int, float) else "text"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return _FLAG[0] if value else _FLAG[1]
    return "" if isinstance(value, (list, tuple, set, frozenset)) else formats.plain(value)
