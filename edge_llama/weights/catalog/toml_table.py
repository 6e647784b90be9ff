"""TomlTable: a table of a TOML file that a user may have written, read field by field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from edge_llama.errors import SettingsError

T = TypeVar("T", bool, int, float, str, list[object], dict[str, object])

_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


class TomlTable:
    """Fields are taken one by one; what is then left is a mistake.

    Args:
        values: the table, as tomllib reads it.
        file: for messages.
        name: of this table, for messages, e.g. `model 2`.
    """

    def __init__(self, values: Mapping[str, object], file: Path, name: str) -> None:
        self._values = dict(values)
        self._file = file
        self.name = name

    def error(self, field: str, problem: str) -> SettingsError:
        """What to raise when `field` has a value that cannot be used."""
        return SettingsError(f"{self._file}: {self.name}: {field} {problem}.")

    def optional(self, field: str, kind: type[T]) -> T | None:
        """The value of `field`; None if it is not there.

        Raises:
            SettingsError: it is not a `kind`.
        """
        value = self._values.pop(field, None)
        if value is None:
            return None
        if kind is float and type(value) is int:
            value = float(value)
        # To Python, but not to TOML, true is an int.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(field, f"must be {_NAMES[kind]}, not {value!r}")
        return value

    def required(self, field: str, kind: type[T]) -> T:
        """As `optional`, but it must be there."""
        if (value := self.optional(field, kind)) is None:
            raise self._missing(field, kind)
        return value

    def optional_count(self, field: str) -> int | None:
        """A whole number of at least 1; None if it is not there."""
        value = self.optional(field, int)
        if value is not None and value < 1:
            raise self.error(field, f"must be at least 1, not {value}")
        return value

    def count(self, field: str) -> int:
        """A whole number of at least 1 that must be there."""
        if (value := self.optional_count(field)) is None:
            raise self._missing(field, int)
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts; empty if it is not there."""
        texts = []
        for value in self.optional(field, list) or ():
            if not isinstance(value, str):
                raise self.error(field, f"must be a list of texts, but has {value!r}")
            texts.append(value)
        return tuple(texts)

    def table(self, field: str) -> TomlTable | None:
        """A table inside of this one; None if it is not there."""
        values = self.optional(field, dict)
        return None if values is None else TomlTable(values, self._file, f"{self.name}: {field}")

    def tables(self, field: str) -> list[TomlTable]:
        """A list of tables; empty if it is not there."""
        tables = []
        for number, values in enumerate(self.optional(field, list) or (), start=1):
            if not isinstance(values, dict):
                raise self.error(field, f"must be a list of tables, but has {values!r}")
            tables.append(TomlTable(values, self._file, f"{self.name}: {field} {number}"))
        return tables

    def finish(self) -> None:
        """Refuse what was not taken.

        Raises:
            SettingsError: there is something left.
        """
        for field in self._values:
            raise self.error(field, "is not a field that is known here. Correct or remove it")

    def _missing(self, field: str, kind: type) -> SettingsError:
        return self.error(field, f"is missing. Add it, as {_NAMES[kind]}")
