"""The grammar of answers in which marked calls are possible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from edge_llama.chat.tools.marked_form import MarkedForm
from edge_llama.chat.tools.tool import CallMode, ToolChoice
from edge_llama.engine.protocol.grammar import (
    CFG,
    JSON_STYLE,
    JSONSchema,
    Trigger,
    TriggeredCFG,
    control_name,
)


def marked_grammar(
    form: MarkedForm,
    functions: Sequence[tuple[str, dict[str, Any]]],
    choice: ToolChoice,
    *,
    control: Iterable[str],
    schema: JSONSchema | None = None,
) -> CFG | TriggeredCFG:
    """What an answer with tools can be: free text up to the mark, and then whole calls.

    Args:
        form: how calls are written.
        functions: names, and the schemas of their arguments.
        choice: whether one must be called, and how many may be.
        control: spellings of the vocabulary's control tokens.
        schema: what the answer must look like if it calls nothing.
    """
    writer = _Writer(control)
    single = not choice.parallel or form.between is None
    calls = "calls: first" + (" " if single else " further* ") + writer.literal(form.end)
    starts = ["calls"]
    rules = [calls.rstrip(), *_rules(form, functions, writer, single=single)]
    if schema is not None and choice.mode is not CallMode.REQUIRED:
        starts.append("form")
        rules.append(f"form: {_json(json.loads(schema.text))}")
    grammar = "\n".join([f"start: {' | '.join(starts)}", *rules])
    if choice.mode is CallMode.REQUIRED or schema is not None:
        return CFG(grammar, "tools", jumps=True)
    if form.mark in writer.control:
        return TriggeredCFG(grammar, (), (form.mark,), "tools")
    return TriggeredCFG(grammar, (Trigger(form.mark, form.mark),), (), "tools")


def _rules(
    form: MarkedForm,
    functions: Sequence[tuple[str, dict[str, Any]]],
    writer: _Writer,
    *,
    single: bool,
) -> Iterator[str]:
    places = range(len(functions))
    yield "first: " + " | ".join(f"first_{i}" for i in places)
    if not single:
        yield "further: " + " | ".join(f"further_{i}" for i in places)
    for i, (name, parameters) in enumerate(functions):
        yield f"first_{i}: {writer.literal(form.first(name))} arguments_{i}"
        if not single:
            yield f"further_{i}: {writer.literal(form.further(name) or '')} arguments_{i}"
        yield f"arguments_{i}: {_json(parameters)} {writer.literal(form.after)}".rstrip()


class _Writer:
    """Writes texts in Lark, with the control tokens that are in them."""

    def __init__(self, control: Iterable[str]) -> None:
        self.control = frozenset(control)
        longest = sorted(self.control, key=len, reverse=True)
        self._control = re.compile(
            f"({'|'.join(map(re.escape, longest))})" if longest else "(?!)()"
        )

    def literal(self, text: str) -> str:
        pieces = (piece for piece in self._control.split(text) if piece)
        return " ".join(
            control_name(piece) if piece in self.control else json.dumps(piece) for piece in pieces
        )


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps(schema | {'x-guidance': JSON_STYLE})}"
