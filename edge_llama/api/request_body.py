"""RequestBody: the body of a request, and what the server leaves unused of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from starlette.requests import Request

from edge_llama.api.body import read_body
from edge_llama.api.unsupported import HARMLESS_VALUES, refuse_unsupported
from edge_llama.api.validation import Schema, validate
from edge_llama.config import ServerSettings
from edge_llama.errors import UnsupportedParameter

MAX_IGNORED = 20
"""Names in the header; more are cut off with `...`."""

_SHOWABLE = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


class RequestBody(Schema):
    """The base of the schemas of whole bodies.

    Attributes:
        harmless_values: parameters that are not implemented, with their values that may pass.
    """

    harmless_values: ClassVar[Mapping[str, tuple[Any, ...]]] = HARMLESS_VALUES


B = TypeVar("B", bound=RequestBody)


def parse(schema: type[B], body: Mapping[str, Any]) -> B:
    """The validated request.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    refuse_unsupported(body, schema.harmless_values)
    return validate(schema, body)


async def read_request(request: Request, parse: Callable[[Mapping[str, Any]], B]) -> B:
    """The request's body as `parse` takes it.

    What is not used of it is noted in the request's state as `ignored`.

    Raises:
        RequestError: it cannot be read, is not valid, or has a field that is not used by a strict
            server.
        ClientDisconnected: the client went away before the end.
    """
    settings: ServerSettings = request.app.state.settings
    asked = parse(await read_body(request))
    ignored = list(dict.fromkeys(ignored_fields(asked)))
    if ignored and settings.strict:
        raise UnsupportedParameter(
            f"{ignored[0]} is not used by this server, which refuses such fields (--strict). "
            "Leave it out.",
            param=ignored[0],
        )
    request.state.ignored = ignored
    return asked


def ignored_fields(asked: RequestBody) -> Iterator[str]:
    """The paths of all fields that the schemas do not know, `[]` for every entry of a list.

    Fields that ask for nothing do not count.
    """
    for name in _unknown(asked, ""):
        if name not in asked.harmless_values:
            yield name


def _unknown(schema: Schema, prefix: str) -> Iterator[str]:
    yield from (prefix + name for name in schema.model_extra or ())
    for name, field in type(schema).model_fields.items():
        value = getattr(schema, name)
        path = prefix + (field.alias or name)
        if isinstance(value, Schema):
            yield from _unknown(value, f"{path}.")
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, Schema):
                    yield from _unknown(entry, f"{path}[].")


def ignored_header(ignored: Iterable[str]) -> str:
    """The names for a header, without what a header cannot carry."""
    names = [name if _SHOWABLE.fullmatch(name) else "?" for name in ignored]
    return ",".join(names[:MAX_IGNORED] + ["..."] * (len(names) > MAX_IGNORED))
