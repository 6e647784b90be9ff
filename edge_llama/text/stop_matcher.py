"""StopMatcher: finds stop strings in a stream of text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from edge_llama.errors import InvalidValue

MAX_STOP_CHARACTERS = 2**20
"""Most characters of all stop strings of a request together."""


class StopMatcher:
    """Passes text on up to the first stop string, in pieces of any size.

    The match that ends first wins; of several that end at the same character, the longest. So
    the result does not depend on how the text was split. Held back is only the longest end of the
    text that is the beginning of a stop string.

    This is an Aho-Corasick automaton over the sorted stop strings whose nodes are made when the
    text first reaches them: time and memory follow the text, not the size of the stop strings.

    Attributes:
        matched: the stop string that was found, None so far.
        rest: what was fed together with it and comes after it.

    Raises:
        InvalidValue: a stop string is empty, or together they exceed `MAX_STOP_CHARACTERS`.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self.matched: str | None = None
        self.rest = ""
        self._stops = sorted(stops)
        if self._stops and not self._stops[0]:
            raise InvalidValue("A stop string must not be empty.", param="stop")
        size = sum(map(len, self._stops))
        if size > MAX_STOP_CHARACTERS:
            raise InvalidValue(
                f"The stop strings have {size} characters together; at most "
                f"{MAX_STOP_CHARACTERS} are possible.",
                param="stop",
            )
        self._root = _Node(depth=0, low=0, high=len(self._stops), match=None)
        self._node = self._root

    def feed(self, text: str) -> str:
        """What may be passed on now; after a match, nothing."""
        if not self._stops:
            return text
        if self.matched is not None:
            return ""
        before = self._node
        for position, character in enumerate(text, 1):
            self._node = self._next(self._node, character)
            if self._node.match is not None:
                self.matched = self._node.match
                self.rest = text[position:]
                return self._release(before, text, before.depth + position - len(self.matched))
        return self._release(before, text, before.depth + len(text) - self._node.depth)

    def flush(self) -> str:
        """What was held back, because the text ends here; after a match, nothing."""
        node, self._node = self._node, self._root
        return "" if self.matched is not None else self._release(node, "", node.depth)

    def _release(self, before: _Node, text: str, length: int) -> str:
        """The first `length` characters of what was held back at `before` followed by `text`."""
        if before.depth == 0:
            return text[:length]
        held = self._stops[before.low][: min(length, before.depth)]
        return held + text[: max(0, length - before.depth)]

    def _next(self, node: _Node, character: str) -> _Node:
        """The node of the longest stop beginning that ends the text read so far."""
        made: list[_Node] = []
        best: _Node | None = None
        while True:
            known = node.children.get(character)
            child = known or self._extend(node, character)
            if child is not None:
                best = best or child
                if made:
                    made[-1].fallback = child
                if known is not None:
                    break
                made.append(child)
            if node.fallback is None:
                if made:
                    made[-1].fallback = self._root
                break
            node = node.fallback
        for child in reversed(made):
            if child.match is None and child.fallback is not None:
                child.match = child.fallback.match
        return best or self._root

    def _extend(self, node: _Node, character: str) -> _Node | None:
        """Make the node one character further, if a stop string goes on so."""

        def at_depth(stop: str) -> str:
            return stop[node.depth : node.depth + 1]

        low = bisect_left(self._stops, character, node.low, node.high, key=at_depth)
        high = bisect_right(self._stops, character, low, node.high, key=at_depth)
        if low == high:
            return None
        stop = self._stops[low]
        child = _Node(
            depth=node.depth + 1,
            low=low,
            high=high,
            match=stop if len(stop) == node.depth + 1 else None,
        )
        node.children[character] = child
        return child


class _Node:
    """A beginning of stop strings: the first `depth` characters of those from `low` to `high`.

    `fallback` is the node of its longest end that is a beginning too (only the root has none),
    `match` the longest stop string that it ends with.
    """

    __slots__ = ("children", "depth", "fallback", "high", "low", "match")

    def __init__(self, *, depth: int, low: int, high: int, match: str | None) -> None:
        self.depth = depth
        self.low = low
        self.high = high
        self.match = match
        self.children: dict[str, _Node] = {}
        self.fallback: _Node | None = None
