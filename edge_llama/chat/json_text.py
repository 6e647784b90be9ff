"""JSON as Hugging Face's chat templates write it."""

from __future__ import annotations

import json
from typing import Any

from edge_llama.errors import InvalidValue


def dump_json(value: Any, *, param: str, indent: int | None = None) -> str:
    """`tojson` of transformers: as `json.dumps`, non-ASCII characters as they are.

    Raises:
        InvalidValue: the value is nested too deeply; names `param`.
    """
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except RecursionError:
        raise InvalidValue(f"{param} is nested too deeply.", param=param) from None


def load_json(text: str, *, param: str) -> Any:
    """The value of a JSON text; blank text is an empty object, as models leave out arguments.

    Raises:
        InvalidValue: not JSON, or nested too deeply; names `param`.
    """
    if not text.strip():
        return {}
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise InvalidValue(f"{param} is nested too deeply.", param=param) from None
    except ValueError as error:
        raise InvalidValue(f"{param} is not JSON: {error}.", param=param) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")
