"""The OpenAPI 3.1 document, made of the table of routes and the types of its functions."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from taskqueue import __version__
from taskqueue.web import problems
from taskqueue.web.desk import Desk

if TYPE_CHECKING:
    from taskqueue.web.routes import Route

Schema = dict[str, Any]
TITLE = "taskqueue"
_REFERENCE = "#/components/schemas/{name}"
_PROBLEM = {"$ref": _REFERENCE.format(name="Details")}


def get(desk: Desk) -> dict[str, Any]:
    """This document."""
    from taskqueue.web.routes import TABLE  # the table names this very function

    document = {**_document(TABLE)}
    if desk.app.settings.web.tokens:
        document["security"] = [{"token": []}]
    return document


@cache
def _document(table: tuple[Route, ...]) -> Schema:
    kinds = [kind for route in table for kind in (route.query, route.body, route.gives) if _is_known(kind)]
    schemas, components = msgspec.json.schema_components([*kinds, problems.Details], ref_template=_REFERENCE)
    schema_of = dict(zip(map(repr, kinds), schemas, strict=False))
    paths: Schema = {}
    for route in table:
        paths.setdefault(f"/api/v1{route.path}", {})[route.method.lower()] = _operation(route, schema_of, components)
    queries = {route.query.__name__ for route in table if route.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__, "description": inspect.cleandoc(_ABOUT)},
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _is_known(kind: Any) -> bool:
    """JSON, of which there is a schema."""
    return kind is not None and not (inspect.isclass(kind) and kind.__module__.startswith("starlette."))


def _operation(route: Route, schema_of: Schema, components: Schema) -> Schema:
    described = {
        "operationId": f"{route.endpoint.__module__.rpartition('.')[2]}_{route.endpoint.__name__}",
        "tags": [route.path.split("/")[1]],
        "summary": inspect.getdoc(route.endpoint),
        "description": f"Needs the right to {route.right.value}.",
        "parameters": [*_path_parameters(route), *_query_parameters(route, components), *_header_parameters(route)],
        "responses": _responses(route, schema_of),
    }
    if route.body is not None:
        content = {"application/json": {"schema": schema_of[repr(route.body)]}}
        described["requestBody"] = {"content": content, "required": _must_be_said(route.body)}
    return described


def _path_parameters(route: Route) -> list[Schema]:
    text = {"type": "string", "minLength": 1}
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in names]


def _query_parameters(route: Route, components: Schema) -> list[Schema]:
    if route.query is None:
        return []
    properties: Schema = components[route.query.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": _or_empty(schema)} for name, schema in properties.items()]


def _or_empty(schema: Schema) -> Schema:
    """What a query may say: forms send what is left empty, too, and that is not said."""
    if schema.get("type") == "array":
        return {**schema, "items": _or_empty(schema["items"])}
    if schema.get("type") == "string" and "enum" not in schema:
        return schema
    other: list[Schema] = [{"const": ""}]
    if any(one.get("format") == "date-time" for one in schema.get("anyOf", ())):
        other.append({"type": "number", "description": "seconds since 1970"})
    return {"anyOf": [schema, *other]}


def _header_parameters(route: Route) -> list[Schema]:
    if route.method != "GET" or route.media_type != "application/json":
        return []
    return [{"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}]


def _responses(route: Route, schema_of: Schema) -> Schema:
    schema = schema_of.get(repr(route.gives), {"type": "string"})
    done: Schema = {"description": "done", "content": {route.media_type: {"schema": schema}}}
    if route.location:
        done["headers"] = {"Location": {"schema": {"type": "string"}}}
    problem = {"content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}}}
    found: Schema = {str(route.status): done}
    if _header_parameters(route):
        done["headers"] = {"ETag": {"schema": {"type": "string"}}}
        found["304"] = {"description": "it is what If-None-Match says"}
    found["4XX"] = {"description": "refused: `detail` says why, and what to do", **problem}
    found["503"] = {"description": "a store is away: try again after `Retry-After` seconds", **problem}
    return found


def _must_be_said(body: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(body))


_ABOUT = """
    Tasks, queues and workers of one configuration.

    Send `Authorization: Bearer TOKEN` where tokens are configured; changes are POST and DELETE, bodies are JSON. Errors
    are problem details (RFC 9457). Times are RFC 3339, durations seconds. What belongs to another owner is not there.
    """
