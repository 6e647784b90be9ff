"""ToolCallParser: the text of an answer to content and calls of tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from edge_llama.chat.tools import call_format
from edge_llama.chat.tools.json_end import JSONEnd
from edge_llama.chat.tools.tool import CODE_INTERPRETER, SEARCHES
from edge_llama.text.stop_matcher import StopMatcher


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call has begun, of the tool `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of the JSON text of the arguments of the last call; never empty."""

    text: str


Part: TypeAlias = str | CallStarted | CallArguments
"""Text is what is no call; never empty."""
Reading: TypeAlias = Generator[Part, None, str]
"""Gives parts, and returns the text that another stage has to read."""


class CallParser(Protocol):
    """Finds calls in an answer as it comes, in pieces of any size.

    Attributes:
        called: a call has begun.
        controls: control tokens that it has to be told.
    """

    called: bool
    controls: frozenset[str]

    def feed(self, text: str) -> Iterator[Part]:
        """The parts that more text gives."""
        ...

    def control(self, spelling: str) -> Iterator[Part]:
        """The answer has one of `controls` here."""
        ...

    def flush(self, *, complete: bool) -> Iterator[Part]:
        """What was held back, because the answer ends here.

        Args:
            complete: it was not cut off.
        """
        ...


class ToolCallParser:
    """Takes an answer apart as it comes, in pieces of any size.

    ```
    text ──→ arguments ──→ closing ──→ text (only further calls are expected)
      └ tag ──→ arguments │ query │ code
    ```

    Held back is only what may become the opening of a call. What does not become one is content.

    Args:
        functions: names of the functions.
        builtin: names of the built-in tools.

    Attributes:
        called: a call has begun.
        controls: control tokens that it has to be told.
    """

    controls = frozenset({call_format.PYTHON_TAG})

    def __init__(self, functions: Sequence[str], builtin: Sequence[str] = ()) -> None:
        self.called = False
        self._functions = {
            fence + opening: name
            for name in functions
            for opening in call_format.openings(name)
            for fence in ("", *call_format.FENCES)
        }
        self._searches = {
            call_format.search_opening(name): name for name in builtin if name in SEARCHES
        }
        self._code = CODE_INTERPRETER in builtin
        self._object = JSONEnd()
        self._stage: Callable[[str], Reading] = self._text
        self._matcher = StopMatcher(self._functions)

    def feed(self, text: str) -> Iterator[Part]:
        """The parts that more text gives."""
        while text:
            text = yield from self._stage(text)

    def control(self, spelling: str) -> Iterator[Part]:
        """The answer has one of `controls` here."""
        yield from self.flush(complete=False)
        self._matcher = StopMatcher([*self._functions, *self._searches])
        self._stage = self._tagged if self._code else self._text

    def flush(self, *, complete: bool) -> Iterator[Part]:
        """What was held back, because the answer ends here.

        Args:
            complete: it was not cut off.
        """
        held = self._matcher.flush()
        if self._stage == self._tagged and held:
            yield from self._begin_code(held)
        elif held and self._stage != self._query:
            yield held
        if self._stage == self._code_text and complete:
            yield CallArguments('"}')

    def _text(self, text: str) -> Reading:
        before = self._matcher.feed(text)
        if before:
            yield before
        if self._matcher.matched is None:
            return ""
        return (yield from self._begin(self._matcher.matched, self._matcher.rest))

    def _tagged(self, text: str) -> Reading:
        before = self._matcher.feed(text)
        if self._matcher.matched is not None and not before:
            return (yield from self._begin(self._matcher.matched, self._matcher.rest))
        if before:
            yield from self._begin_code(before)
            return (self._matcher.matched or self._matcher.flush()) + self._matcher.rest
        return ""

    def _begin(self, opening: str, rest: str) -> Reading:
        self.called = True
        if opening in self._searches:
            yield CallStarted(self._searches[opening])
            yield CallArguments('{"query": "')
            self._expect(self._query, [call_format.SEARCH_END])
        else:
            yield CallStarted(self._functions[opening.removeprefix(call_format.SEPARATOR)])
            self._object = JSONEnd()
            self._expect(self._arguments)
            rest = call_format.BRACE + rest
        return rest

    def _begin_code(self, text: str) -> Iterator[Part]:
        self.called = True
        yield CallStarted(CODE_INTERPRETER)
        yield CallArguments('{"code": "' + _escaped(text))
        self._stage = self._code_text

    def _code_text(self, text: str) -> Reading:
        yield CallArguments(_escaped(text))
        return ""

    def _arguments(self, text: str) -> Reading:
        end = self._object.feed(text)
        yield CallArguments(text[:end])
        if end is None:
            return ""
        self._expect(self._closing)
        return text[end:]

    def _closing(self, text: str) -> Reading:
        self._expect(self._text, [call_format.SEPARATOR + each for each in self._functions])
        yield from ()
        return text.removeprefix(call_format.END)

    def _query(self, text: str) -> Reading:
        before = self._matcher.feed(text)
        if before:
            yield CallArguments(_escaped(before))
        if self._matcher.matched is None:
            return ""
        yield CallArguments('"}')
        rest = self._matcher.rest
        self._expect(self._text)
        return rest

    def _expect(self, stage: Callable[[str], Reading], openings: Sequence[str] = ()) -> None:
        self._stage = stage
        self._matcher = StopMatcher(openings)


def _escaped(text: str) -> str:
    """As a part of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
