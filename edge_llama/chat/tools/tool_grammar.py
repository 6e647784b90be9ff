"""The grammar of answers in which tools can be called."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from edge_llama.chat.tools import call_format
from edge_llama.chat.tools.tool import CODE_INTERPRETER, SEARCHES, CallMode, Tool, ToolChoice
from edge_llama.chat.tools.tool_parameters import Effort, ToolParameters
from edge_llama.engine.protocol.grammar import CFG, JSON_STYLE, JSONSchema, Trigger, TriggeredCFG
from edge_llama.errors import InvalidValue

MAX_TOOLS = 128


def tool_grammar(
    tools: Sequence[Tool],
    choice: ToolChoice,
    *,
    builtin: Sequence[str] = (),
    tagged: bool = True,
    form: JSONSchema | None = None,
    parameters: ToolParameters | None = None,
) -> CFG | TriggeredCFG:
    """What an answer with tools can be: free text, calls, or text and then calls.

    The text is free until a call has begun: with `{"name"` at the very beginning, with the call of
    a tool that there is anywhere else. From there on only a whole call is possible.

    Args:
        tools: the functions; their schemas are enforced.
        choice: which may be called, and whether one must be.
        builtin: names of the built-in tools that may be called.
        tagged: the vocabulary has `<|python_tag|>`.
        form: what the answer must look like if it calls nothing.
        parameters: makes schemas of arguments enforceable; None enforces all of them.

    Raises:
        RequestError: a schema of arguments cannot be enforced, or nothing may be called.
    """
    parameters = parameters or ToolParameters(Effort.STRICT)
    functions = [
        (tool.name, parameters.of(tool, f"tools[{index}].{tool.schema_path}"))
        for index, tool in enumerate(tools)
        if choice.allows(tool.name)
    ]
    searches = [name for name in builtin if name in SEARCHES and choice.allows(name)]
    code = CODE_INTERPRETER in builtin and choice.allows(CODE_INTERPRETER)
    if not functions and not (tagged and (searches or code)):
        raise _nothing_to_call(builtin, choice)
    starts: list[str] = []
    rules: list[str] = []
    if functions:
        rules += _functions(functions, parallel=choice.parallel)
    if tagged:
        starts.append("tagged")
        rules += _tagged(bool(functions), searches, code=code)
    if form is not None and choice.mode is not CallMode.REQUIRED:
        starts.append("form_or_call")
        rules.append(f"form_or_call: {_form_or_call(form, functions)}")
    elif functions:
        starts.append("calls")
    grammar = "\n".join([f"start: {' | '.join(starts)}", *rules])
    if choice.mode is CallMode.REQUIRED or form is not None:
        return CFG(grammar, "tools", jumps=True)
    triggers = _triggers([name for name, _ in functions])
    control = (call_format.PYTHON_TAG,) if tagged else ()
    return TriggeredCFG(grammar, tuple(triggers), control, "tools")


def _nothing_to_call(builtin: Sequence[str], choice: ToolChoice) -> InvalidValue:
    if builtin and choice.names is None:
        return InvalidValue(
            "This model has no token <|python_tag|>, without which it cannot call "
            f"{', '.join(builtin)}. Give it functions in tools.",
            param="chat_template_kwargs.builtin_tools",
        )
    return InvalidValue(
        "tool_choice allows none of the tools. Name at least one of them.", param="tool_choice"
    )


_QUERY = 'QUERY: /[^"\\\\\\n]+/'


def _functions(functions: Sequence[tuple[str, dict[str, Any]]], *, parallel: bool) -> Iterator[str]:
    yield "calls: call more"
    yield "more: " + (f"({_literal(call_format.SEPARATOR)} call)*" if parallel else '""')
    yield "call: " + " | ".join(f"call_{i}" for i in range(len(functions)))
    for i, (name, parameters) in enumerate(functions):
        yield f"call_{i}: {_literal(call_format.opening(name))} arguments_{i}"
        yield f"arguments_{i}: {_json(parameters)} {_literal(call_format.END)}"


def _triggers(names: Sequence[str]) -> Iterator[Trigger]:
    """Where a call has begun: with the whole opening of one, or at the start with less of it."""
    if names:
        yield Trigger(call_format.START, call_format.START, at_start=True)
    for name in names:
        usual = call_format.opening(name) + call_format.BRACE
        for opening in call_format.openings(name):
            yield Trigger(opening, usual)


def _tagged(functions: bool, searches: Sequence[str], *, code: bool) -> Iterator[str]:
    kinds = ["calls"] if functions else []
    others = [r"\{"] if functions else []
    for i, name in enumerate(searches):
        opening = call_format.search_opening(name)
        kinds.append(f"search_{i}")
        others.append(re.escape(opening))
        yield f"search_{i}: {_literal(opening)} QUERY {_literal(call_format.SEARCH_END)}"
    if searches:
        yield _QUERY
    if code:
        kinds.append("CODE")
        yield "CODE: /(?s:.+)/" + (f" & ~/({'|'.join(others)})(?s:.*)/" if others else "")
    yield f"tagged: {call_format.PYTHON_TAG} ({' | '.join(kinds)})"


def _form_or_call(form: JSONSchema, functions: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """One schema for both: they may begin alike, which two rules could not tell apart.

    Each part has an id, so that its references stay its own.
    """
    calls = (
        {
            "type": "object",
            "properties": {"name": {"const": name}, "parameters": {"$id": f"urn:x:{i}", **schema}},
            "required": ["name", "parameters"],
            "additionalProperties": False,
        }
        for i, (name, schema) in enumerate(functions)
    )
    return _json({"anyOf": [{"$id": "urn:x:form", **json.loads(form.text)}, *calls]})


def _literal(text: str) -> str:
    return json.dumps(text)


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps(schema | {'x-guidance': JSON_STYLE})}"
