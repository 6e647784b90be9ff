"""Grammars that clients write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from edge_llama.chat.grammar.json_schema import enforceable
from edge_llama.engine.protocol.grammar import CFG
from edge_llama.errors import InvalidValue

MAX_CHARACTERS = 32_768
"""Of a grammar: compiling takes time by more than its length."""

_SCHEMA = re.compile(r"%json\b\s*")


def client_grammar(text: str, *, param: str) -> CFG:
    """A grammar in Lark's or GBNF's syntax, the JSON Schemas in it in terms that can be enforced.

    Raises:
        RequestError: it is too long, or a schema in it cannot be enforced.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidValue(
            f"{param} has {len(text)} characters; at most {MAX_CHARACTERS} are possible.",
            param=param,
        )
    return CFG("".join(_parts(text, param)), param)


def _parts(text: str, param: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    end = 0
    while found := _SCHEMA.search(text, end):
        yield text[end : found.end()]
        try:
            schema, end = decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            raise InvalidValue(f"{param} has no JSON Schema after %json.", param=param) from None
        if not isinstance(schema, dict):
            raise InvalidValue(f"{param} has no JSON object after %json.", param=param)
        yield json.dumps(enforceable(schema, param=f"{param}.%json"))
    yield text[end:]
