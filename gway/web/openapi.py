"""The OpenAPI document of all API functions, made from their signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec

from gway.web.forms import hints_of
from gway.web.mounts import Handler

if TYPE_CHECKING:
    from gway.web.routes import Site

_REF = "#/components/schemas/{name}"
_PARAM = re.compile(r"^:param (\w+):", re.MULTILINE)


def document(site: Site) -> Mapping[str, Any]:
    """Return the OpenAPI 3.1 document of everything below `/api/`."""
    paths: dict[str, dict[str, Any]] = {}
    components: dict[str, Any] = {"Problem": _problem_schema()}
    for mount in site.mounts.values():
        for handler in mount.of_kind("api"):
            address = f"/api{mount.path}/{handler.name.replace('_', '-')}"
            operation = _operation(handler, components)
            paths.setdefault(address, {})[handler.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "GWAY", "version": _version()},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(handler: Handler, components: dict[str, Any]) -> dict[str, Any]:
    summary, described = read_docstring(handler.function)
    fields = list(_fields(handler, described, components))
    result = hints_of(handler.function).get("return", Any)
    operation: dict[str, Any] = {
        "operationId": handler.label.replace(".", "_"),
        "tags": [handler.project],
        "summary": summary,
        "x-role": handler.access.role,
        "responses": {
            "200": {
                "description": "the result",
                "content": {"application/json": {"schema": _schema(result, components)}},
            },
            "default": {
                "description": "a problem",
                "content": {"application/json": {"schema": {"$ref": _REF.format(name="Problem")}}},
            },
        },
    }
    if handler.method in ("GET", "DELETE"):
        operation["parameters"] = [{"in": "query", **field} for field in fields]
    elif fields:
        operation["requestBody"] = _body(fields)
    return operation


def _fields(
    handler: Handler, described: Mapping[str, str], components: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    hints = hints_of(handler.function)
    for name, parameter in inspect.signature(handler.function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        schema = dict(_schema(hints.get(name, Any), components))
        required = parameter.default is parameter.empty
        if not required and parameter.default is not None:
            schema["default"] = msgspec.to_builtins(parameter.default, enc_hook=str)
        yield {
            "name": name,
            "required": required,
            "description": described.get(name, ""),
            "schema": schema,
        }


def _body(fields: list[dict[str, Any]]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            field["name"]: {**field["schema"], "description": field["description"]}
            for field in fields
        },
        "required": [field["name"] for field in fields if field["required"]],
        "additionalProperties": False,
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _schema(wanted: Any, components: dict[str, Any]) -> Mapping[str, Any]:
    try:
        (schema,), found = msgspec.json.schema_components((wanted,), ref_template=_REF)
    except TypeError:  # a type that JSON has no words for
        return {}
    components.update(found)
    return schema


def _problem_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "status": {"type": "integer"},
            "error": {"type": "string", "description": "what happened"},
            "hint": {"type": "string", "description": "what to do"},
            "id": {"type": "string", "description": "of the log record that says more"},
        },
        "required": ["status", "error"],
    }


def read_docstring(function: Callable[..., Any]) -> tuple[str, Mapping[str, str]]:
    """Return a function's first sentence and what it says of each parameter."""
    text = inspect.getdoc(function) or ""
    head, *parts = _PARAM.split(text)
    summary = " ".join(head.strip().split("\n\n")[0].split())
    described = {
        name: " ".join(said.split("\n:")[0].split())
        for name, said in zip(parts[::2], parts[1::2], strict=True)
    }
    return summary, described


def _version() -> str:
    try:
        return version("gway")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
