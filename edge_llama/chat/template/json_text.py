"""JSON as Hugging Face's chat templates write it."""

from __future__ import annotations

import json
from typing import Any

from edge_llama.engine.protocol.prompt import MAX_PROMPT_BYTES
from edge_llama.errors import InvalidValue


def dump_json(
    value: Any, *, param: str, indent: int | None = None, room: int = MAX_PROMPT_BYTES
) -> str:
    """`tojson` of transformers: as `json.dumps`, non-ASCII characters as they are.

    Args:
        value: what to write.
        param: the field that it comes from.
        indent: blanks at the beginning of a line, for each level.
        room: most characters; those of the indentation can be many times those of the value.

    Raises:
        InvalidValue: the value is nested too deeply, or does not fit; names `param`.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, indent=indent)
    written = []
    try:
        for part in encoder.iterencode(value):
            written.append(part)
            room -= len(part)
            if room < 0:
                raise InvalidValue(f"{param} is too large for any context.", param=param)
    except RecursionError:
        raise InvalidValue(f"{param} is nested too deeply.", param=param) from None
    return "".join(written)


def call_arguments(text: str, *, param: str) -> Any:
    """The arguments of a call, of JSON text; blank text is an empty object, as models leave them
    out. What is not JSON, as of a call that was cut off, stays text.

    Raises:
        InvalidValue: they are nested too deeply; names `param`.
    """
    if not text.strip():
        return {}
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise InvalidValue(f"{param} is nested too deeply.", param=param) from None
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")
