"""What the server leaves unused of a request's body."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

from edge_llama.api.request.left_out import LeftOut
from edge_llama.api.request.validation import Schema

IGNORED_HEADER = "X-Edge-Llama-Ignored"

MAX_IGNORED = 20
"""Names in the header; more are cut off with `...`."""

MAX_NAME = 100
"""Characters of a name."""

_SHOWABLE = re.compile(r"[A-Za-z0-9_.\[\]$-]+")


def ignored_fields(asked: Schema, harmless: Container[str]) -> list[str]:
    """The paths of the fields that the schemas do not know, `[]` for every entry of a list.

    Each once, and no more of them than it takes to see that there are more than `MAX_IGNORED`.

    Args:
        asked: the body.
        harmless: its fields that ask for nothing, and do not count.
    """
    found: dict[str, None] = {}
    for name in _unknown(asked, ""):
        if name not in harmless:
            found[name] = None
        if len(found) > MAX_IGNORED:
            break
    return list(found)


def _unknown(schema: Schema, prefix: str) -> Iterator[str]:
    if not schema.takes_all:
        yield from (prefix + name for name in schema.model_extra or ())
    for name, field in type(schema).model_fields.items():
        value = getattr(schema, name)
        path = prefix + (field.alias or name)
        if isinstance(value, Schema):
            yield from _unknown(value, f"{path}.")
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, LeftOut):
                    yield f"{path}[].{entry.type}"
                elif isinstance(entry, Schema):
                    yield from _unknown(entry, f"{path}[].")


def ignored_header(ignored: Iterable[str]) -> str:
    """The names for a header, without what a header cannot carry."""
    names = [_shortened(name) if _SHOWABLE.fullmatch(name) else "?" for name in ignored]
    return ",".join(names[:MAX_IGNORED] + ["..."] * (len(names) > MAX_IGNORED))


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}..."
