"""The OpenAPI document of all API functions, made from their signatures and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from importlib.metadata import PackageNotFoundError, version
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import msgspec

from gway.conversion import alternatives
from gway.web.mounts import Handler

if TYPE_CHECKING:
    from gway.signature import Param
    from gway.web.routes import Site

_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]  # or the schema forgets that it is a time
_REF = "#/components/schemas/{name}"


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
    fields = [_field(param, components) for param in handler.signature.params]
    operation: dict[str, Any] = {
        "operationId": handler.label.replace(".", "_"),
        "tags": [handler.project],
        "summary": handler.signature.summary,
        "description": handler.signature.text,
        "x-role": handler.access.role,
        "responses": {
            "200": {
                "description": "the result",
                "content": {"application/json": {"schema": _result(handler, components)}},
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


def _field(param: Param, components: dict[str, Any]) -> dict[str, Any]:
    schema = dict(_schema(param.annotation, components))
    if not param.required and param.default is not None:
        schema["default"] = msgspec.to_builtins(param.default, enc_hook=str)
    return {
        "name": param.name,
        "required": param.required,
        "description": param.help,
        "schema": schema,
    }


def _result(handler: Handler, components: dict[str, Any]) -> Mapping[str, Any]:
    try:
        hints = get_type_hints(inspect.unwrap(handler.function))
    except NameError:  # a type that only the type checker imports
        return {}
    return _schema(hints.get("return", Any), components)


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
    kinds = tuple(_ZONED if kind is datetime else kind for kind in alternatives(wanted))
    try:
        kind = reduce(or_, kinds)
        (schema,), found = msgspec.json.schema_components((kind,), ref_template=_REF)
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


def _version() -> str:
    try:
        return version("gway")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
