"""Marked calls: how families of models other than Llama 3 write calls of tools.

```
<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>               Hermes, Qwen, Granite 4
[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}]                    Mistral
[TOOL_CALLS]add[ARGS]{"a": 1}                                           Mistral since 2025
<|tool_call|>[{"name": "add", "arguments": {"a": 1}}]                   Granite 3, Phi 4 mini
<function=add>{"a": 1}</function>                                       Functionary 3.1
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1}…       DeepSeek
```

Formats: the chat templates of these models, as llama.cpp has them in `models/templates`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MarkedForm:
    """How calls are written: a mark, then one call after another, each with JSON arguments.

    Attributes:
        mark: what nothing but calls begins with.
        before: between the mark and the arguments of the first call; `{name}` is the function's
            name, `{json}` the same as JSON.
        after: behind the arguments of a call.
        between: from there to the arguments of the next call; None allows a single call.
        end: behind the last call.
    """

    mark: str
    before: str
    after: str = ""
    between: str | None = None
    end: str = ""

    def first(self, name: str) -> str:
        """What comes before the arguments of the first call."""
        return self.mark + _named(self.before, name)

    def further(self, name: str) -> str | None:
        """What stands between the end of a call and the arguments of the next one."""
        return None if self.between is None else _named(self.between, name)


def _named(text: str, name: str) -> str:
    quoted = json.dumps(name, ensure_ascii=False)
    return text.replace("{name}", name).replace("{json}", quoted)


_JSON_CALL = '{"name": {json}, "arguments": '

HERMES = MarkedForm(
    mark="<tool_call>",
    before=f"\n{_JSON_CALL}",
    after="}\n</tool_call>",
    between=f"\n<tool_call>\n{_JSON_CALL}",
)
MISTRAL = MarkedForm("[TOOL_CALLS]", f"[{_JSON_CALL}", "}", f", {_JSON_CALL}", "]")
MISTRAL_ARGS = MarkedForm(
    mark="[TOOL_CALLS]", before="{name}[ARGS]", between="[TOOL_CALLS]{name}[ARGS]"
)
GRANITE = MarkedForm("<|tool_call|>", f"[{_JSON_CALL}", "}", f", {_JSON_CALL}", "]")
PHI = MarkedForm("<|tool_call|>", f"[{_JSON_CALL}", "}", f", {_JSON_CALL}", "]<|/tool_call|>")
FIREFUNCTION = MarkedForm(" functools", f"[{_JSON_CALL}", "}", f", {_JSON_CALL}", "]")
FUNCTIONARY = MarkedForm(
    mark="<function=", before="{name}>", after="</function>", between="\n<function={name}>"
)
DEEPSEEK = MarkedForm(
    mark="<｜tool▁calls▁begin｜>",
    before="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
    after="<｜tool▁call▁end｜>",
    between="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
    end="<｜tool▁calls▁end｜>",
)
DEEPSEEK_R1 = MarkedForm(
    mark="<｜tool▁calls▁begin｜>",
    before="<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n",
    after="\n```<｜tool▁call▁end｜>",
    between="\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n",
    end="<｜tool▁calls▁end｜>",
)

_XML = ("<function=", "<arg_key>", "<parameter", "<invoke")
"""In templates whose calls have no JSON."""


def _has(*words: str, none_of: tuple[str, ...] = ()) -> Callable[[str], bool]:
    return lambda template: (
        all(word in template for word in words) and not any(word in template for word in none_of)
    )


_FORMS: tuple[tuple[Callable[[str], bool], MarkedForm], ...] = (
    (_has("<｜tool▁calls▁begin｜>", "```json"), DEEPSEEK_R1),
    (_has("<｜tool▁calls▁begin｜>"), DEEPSEEK),
    (_has("[TOOL_CALLS]", "[ARGS]"), MISTRAL_ARGS),
    (_has("[TOOL_CALLS]"), MISTRAL),
    (_has("<|tool|>", "<|tool_call|>"), PHI),
    (_has("<|/tool_call|>"), PHI),
    (_has("<|tool|>", "<|/tool|>"), PHI),
    (_has("<|tool_call|>", none_of=("<|tool_call>",)), GRANITE),
    (_has(" functools["), FIREFUNCTION),
    (_has("<function=", none_of=("<tool_call>", "<parameter")), FUNCTIONARY),
    (_has("<tool_call>", none_of=_XML), HERMES),
)
"""By what a template has, the most telling first."""


def form_of(template: str) -> MarkedForm | None:
    """The form that a chat template shows its model; None is another one.

    Args:
        template: its Jinja source.
    """
    return next((form for fits, form in _FORMS if fits(template)), None)
