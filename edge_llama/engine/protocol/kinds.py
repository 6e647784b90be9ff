"""What kind of value a field takes, for those who fill it in Python."""

from __future__ import annotations

import reprlib

from edge_llama.errors import InvalidValue


def see_kind(field: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Refuse a value of another kind; a bool is no number.

    Args:
        wanted: what it must be, as the error says it: "a string".

    Raises:
        InvalidValue: names `field` and what is wanted.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong_kind(field, value, wanted)


def wrong_kind(field: str, value: object, wanted: str) -> InvalidValue:
    """The error of a value that is not what is wanted."""
    return InvalidValue(f"`{field}` must be {wanted}, not {reprlib.repr(value)}.", param=field)
