"""Triggers: finds the first of many texts in a stream of bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeAlias

from edge_llama.engine.protocol.grammar import Trigger

Begun: TypeAlias = tuple[bytes, ...]
"""Keys of triggers as far as the text so far ends with them."""

ANYWHERE, AT_START = b".", b"^"
"""What keys begin with: where the trigger counts."""

START: Begun = (AT_START, ANYWHERE)
"""Before the first byte of a text."""


class Triggers:
    """Triggers to look for; of those that end at the same byte, the longest wins.

    ```
    key    .{"name": "add", "parameters":       ^{"name"
    begun  .{"na
    ```
    """

    def __init__(self, triggers: Iterable[Trigger]) -> None:
        self._found = {
            (AT_START if trigger.at_start else ANYWHERE) + trigger.written.encode(): trigger
            for trigger in triggers
        }
        self._keys = sorted(self._found)

    def read(self, begun: Begun, more: bytes) -> tuple[Begun, Trigger | None, bytes]:
        """Go on with more of the text.

        Returns:
            What is begun then, the trigger that was found if there was one, and what comes after
            that trigger.
        """
        for position in range(len(more)):
            byte = more[position : position + 1]
            keys = [key + byte for key in begun]
            for key in keys:
                if key in self._found:
                    return (), self._found[key], more[position + 1 :]
            begun = (*filter(self._begins_one, keys), ANYWHERE)
        return begun, None, b""

    def _begins_one(self, key: bytes) -> bool:
        place = bisect_left(self._keys, key)
        return place < len(self._keys) and self._keys[place].startswith(key)
