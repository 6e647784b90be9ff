"""The form that an output must have, as it reaches the engine."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""llguidance's options for JSON in one line, with spaces where models are used to them: after `,`
and `:`. Without them what the models write is often worse."""


class JSONSchema(msgspec.Struct, frozen=True, tag="json_schema", array_like=True):
    """JSON that is valid against a schema, in one line.

    Attributes:
        text: the schema, a JSON object.
        param: what the request calls it.
    """

    text: str
    param: str = "grammar"


class CFG(msgspec.Struct, frozen=True, tag="cfg", array_like=True):
    """A context-free grammar.

    Attributes:
        text: in llguidance's Lark syntax, or in llama.cpp's GBNF.
        param: what the request calls it.
        jumps: feed the tokens that must follow without sampling; for a grammar of our own, of
            which it is known that these are few.
    """

    text: str
    param: str = "grammar"
    jumps: bool = False


class Trigger(msgspec.Struct, frozen=True, array_like=True):
    """A text that begins a form.

    Attributes:
        written: the text.
        read: what the grammar of the form takes it for; the two may be spaced otherwise.
        at_start: it counts at the very beginning of an output only.
    """

    written: str
    read: str
    at_start: bool = False


class TriggeredCFG(msgspec.Struct, frozen=True, tag="triggered_cfg", array_like=True):
    """Free text, until something in it begins a form: from there on a context-free grammar.

    Attributes:
        text: the grammar, in llguidance's Lark syntax.
        triggers: texts that begin the form.
        control: spellings of control tokens that begin it; the grammar has them itself.
        param: what the request calls it.
    """

    text: str
    triggers: tuple[Trigger, ...]
    control: tuple[str, ...]
    param: str


class Regex(msgspec.Struct, frozen=True, tag="regex", array_like=True):
    """A regular expression for the whole output.

    Attributes:
        text: in the syntax of Rust's regex crate.
        param: what the request calls it.
    """

    text: str
    param: str = "regex"


def control_name(spelling: str) -> str:
    """A control token in llguidance's Lark syntax, which wants angle brackets around it."""
    if spelling.startswith("<") and spelling.endswith(">"):
        return spelling
    return f"<{spelling.strip('[]')}>"


Grammar: TypeAlias = JSONSchema | CFG | TriggeredCFG | Regex
