"""MarkedCallParser: the text of an answer to content and marked calls of tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edge_llama.chat.tools.json_end import JSONEnd
from edge_llama.chat.tools.marked_form import MarkedForm
from edge_llama.chat.tools.tool_calls import CallArguments, CallStarted, Part, Reading
from edge_llama.text.stop_matcher import StopMatcher


class MarkedCallParser:
    """Takes an answer apart as it comes, in pieces of any size.

    ```
    text ──→ arguments ──→ closing ──→ between ──→ text
                 ↑                        │
                 └────────────────────────┘
    ```

    Held back is only what may become the opening of a call. What does not become one is content.

    Args:
        form: how calls are written.
        functions: names of the functions.
        control: spellings of the vocabulary's control tokens, of which the form may have some.

    Attributes:
        called: a call has begun.
        controls: control tokens whose spelling it has to be told.
    """

    def __init__(
        self, form: MarkedForm, functions: Sequence[str], control: Sequence[str] = ()
    ) -> None:
        written = "".join((form.mark, form.before, form.after, form.between or "", form.end))
        self.called = False
        self.controls = frozenset(token for token in control if token in written)
        self._form = form
        self._first = {form.first(name): name for name in functions}
        further = ((form.further(name), name) for name in functions)
        self._further = {opening: name for opening, name in further if opening is not None}
        self._object = JSONEnd()
        self._held = ""
        self._stage: Callable[[str], Reading] = self._text
        self._matcher = StopMatcher(self._first)

    def feed(self, text: str) -> Iterator[Part]:
        """The parts that more text gives."""
        while text:
            text = yield from self._stage(text)

    def control(self, spelling: str) -> Iterator[Part]:
        """The answer has one of `controls` here."""
        yield from self.feed(spelling)

    def flush(self, *, complete: bool) -> Iterator[Part]:
        """What was held back, because the answer ends here."""
        held = self._matcher.flush()
        if held and self._stage == self._text:
            yield held

    def _text(self, text: str) -> Reading:
        before = self._matcher.feed(text)
        if before:
            yield before
        if self._matcher.matched is None:
            return ""
        return (yield from self._begin(self._first[self._matcher.matched]))

    def _begin(self, name: str) -> Reading:
        self.called = True
        self._object = JSONEnd()
        self._stage = self._arguments
        yield CallStarted(name)
        return self._matcher.rest

    def _arguments(self, text: str) -> Reading:
        end = self._object.feed(text)
        yield CallArguments(text[:end])
        if end is None:
            return ""
        self._held = ""
        self._stage = self._closing
        return text[end:]

    def _closing(self, text: str) -> Reading:
        """Pass over what closes a call, as far as it is there."""
        self._held += text
        after = self._form.after
        if len(self._held) < len(after) and after.startswith(self._held):
            return ""
        rest = self._held.removeprefix(after)
        self._matcher = StopMatcher([*self._further, *([self._form.end] if self._form.end else [])])
        self._stage = self._between
        yield from ()
        return rest

    def _between(self, text: str) -> Reading:
        """Only another call is expected, or the end of all: anything else is content."""
        before = self._matcher.feed(text)
        if before.strip():
            yield before
        matched = self._matcher.matched
        if matched is None:
            return ""
        if matched in self._further:
            return (yield from self._begin(self._further[matched]))
        rest = self._matcher.rest
        self._matcher = StopMatcher(self._first)
        self._stage = self._text
        return rest
