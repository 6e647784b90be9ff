"""WrittenList: JSON that is written while an answer is made."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core.core_schema import CoreSchema, list_schema

_MARK = secrets.token_hex(16)
"""Stands for a `WrittenList` in a JSON text; nobody else knows it."""


E = TypeVar("E")


class WrittenList(Generic[E]):
    """A JSON list that grows, and is part of values that `json_pieces` writes.

    It keeps the JSON of its entries, a tenth of what they take as objects, and an answer that is
    whole is no work any more.
    """

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def add(self, entries: Sequence[E]) -> None:
        if entries:
            self._written.append(_dumps(entries, ensure_ascii=True)[1:-1].encode("ascii"))

    def copy(self) -> WrittenList[E]:
        """Another with the same entries, which grows by itself."""
        copied = WrittenList[E]()
        copied._written = self._written.copy()
        return copied

    def pieces(self) -> Iterator[bytes]:
        """Its JSON, in ASCII."""
        before = b"["
        for entries in self._written:
            yield before + entries
            before = b","
        yield b"]" if self._written else b"[]"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """/openapi.json shows what clients see: a list."""
        [entry] = get_args(source)
        return list_schema(handler.generate_schema(entry))


JSONList: TypeAlias = list[E] | WrittenList[E]
"""A list in an answer, be it written already or not."""


def json_pieces(value: object, *, ensure_ascii: bool = False) -> Iterator[bytes]:
    """`value` as JSON, in one piece but for each `WrittenList` in it."""
    found: list[WrittenList[Any]] = []

    def mark(each: object) -> str:
        if not isinstance(each, WrittenList):
            raise TypeError(f"{type(each).__name__} is not JSON.")
        found.append(each)
        return _MARK

    text = _dumps(value, ensure_ascii=ensure_ascii, default=mark).encode()
    first, *others = text.split(b'"%b"' % _MARK.encode("ascii")) if found else [text]
    yield first
    for written, after in zip(found, others, strict=True):
        yield from written.pieces()
        yield after


def _dumps(value: object, **options: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), **options)
