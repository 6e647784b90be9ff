"""Checks of single values."""

from __future__ import annotations

from edge_llama.errors import SettingsError


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Whether `value` is what the field `name` may be.

    Raises:
        SettingsError: it is not; the text names the field in backticks.
    """
    if not isinstance(value, int):
        raise SettingsError(f"`{name}` must be an integer, not {value!r:.100}.")
    if not low <= value <= high:
        raise SettingsError(f"`{name}` must be between {low} and {high}, not {value}.")
