"""The child process that renders a GGUF's own chat template.

Template code comes with a downloaded file, and no check of it inside a process can bound what it
costs: one call into C code can take hours or all memory. So it runs in Jinja's immutable sandbox
in a process of its own. A watchdog thread of the C runtime ends the process when a rendering
takes longer than `TIME_LIMIT`; on Linux the kernel holds it to `MEMORY_LIMIT`, elsewhere the time
limit bounds memory too.

One line of JSON each way. First comes the template, then one conversation after another:

```
{"template": str, "bos_token": str, "eos_token": str}    → {"text": ""} | {"error": str}
{"messages": […], "tools": […] | null, "arguments": {…},  → {"text": str} | {"error": str}
 "answers": bool, "mark": str, "today": str}                 | {"refused": str}
```

The environment is that of transformers' `apply_chat_template`, but for the clock: it is midnight of
the day that the request names, so that prompts share their beginning for a day.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge_llama.process.child import live_with_parent
from edge_llama.process.limits import limit_address_space, time_limit

TIME_LIMIT = 2.0
"""Seconds for one rendering, or for compiling the template."""

MEMORY_LIMIT = 256 * 1024 * 1024
"""Bytes of address space."""

OUTPUT_LIMIT = 8 * 1024 * 1024
"""Characters of one rendering."""


class TemplateRefusal(Exception):
    """The template called `raise_exception`: it cannot write this conversation."""


class GenerationTag(Extension):
    """`{% generation %}` marks the assistant's text for training; here it is only its body."""

    tags = {"generation"}  # noqa: RUF012 - as in the base class

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Renderer:
    """Compiles the template, then renders conversations with it."""

    def __init__(self) -> None:
        self._mark = ""
        self._today = datetime.datetime.min
        self._environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
        )
        self._environment.filters["tojson"] = self._to_json
        self._environment.filters["from_json"] = json.loads
        self._environment.globals.update(
            raise_exception=_refuse, strftime_now=self._strftime_now, documents=None
        )

    def compile(self, template: str, bos_token: str, eos_token: str) -> str:
        """Take the template and the tokens that it may write; answers with no text.

        Raises:
            jinja2.TemplateError: the template cannot be compiled.
        """
        tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._template = self._environment.from_string(template, globals=tokens)
        return ""

    def render(
        self,
        messages: list[Any],
        tools: list[Any] | None,
        arguments: dict[str, Any],
        answers: bool,
        mark: str,
        today: str,
    ) -> str:
        """The prompt, up to and with the header of the assistant's turn if it `answers`.

        Raises:
            TemplateRefusal: the template refused the conversation.
            Exception: whatever else the template's code raises.
        """
        self._mark = mark
        self._today = datetime.datetime.fromisoformat(today)
        pieces: list[str] = []
        room = OUTPUT_LIMIT
        for piece in self._template.generate(
            **{**arguments, "messages": messages, "tools": tools, "add_generation_prompt": answers}
        ):
            room -= len(piece)
            if room < 0:
                raise ValueError(f"it wrote more than {OUTPUT_LIMIT} characters")
            pieces.append(piece)
        return "".join(pieces)

    def _strftime_now(self, format: str) -> str:
        return self._today.strftime(format)

    def _to_json(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        text = json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )
        return text.replace(json.dumps(self._mark)[1:-1], self._mark) if ensure_ascii else text


def main() -> None:
    """Answer requests from stdin until it ends; the first one is the template."""
    live_with_parent()
    limit_address_space(MEMORY_LIMIT)
    renderer = Renderer()
    ask: Callable[..., str] = renderer.compile
    for line in sys.stdin.buffer:
        with time_limit(TIME_LIMIT):
            answer = json.dumps(_answer(ask, json.loads(line)))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
        ask = renderer.render


def _answer(ask: Callable[..., str], request: dict[str, Any]) -> dict[str, str]:
    try:
        return {"text": ask(**request)}
    except TemplateRefusal as refusal:
        return {"refused": _shorten(str(refusal))}
    except MemoryError:
        os._exit(1)
    except jinja2.TemplateSyntaxError as error:
        return {"error": _shorten(f"line {error.lineno}: {error.message}")}
    except Exception as error:
        return {"error": _shorten(f"{type(error).__name__}: {error}")}


def _refuse(message: str) -> None:
    raise TemplateRefusal(message)


def _shorten(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "…"


if __name__ == "__main__":
    main()
