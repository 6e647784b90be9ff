"""Calls as other families of models write them: enforced, and read at every split."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.chat.tools import marked_form
from edge_llama.chat.tools.marked_calls import MarkedCallParser
from edge_llama.chat.tools.marked_form import MarkedForm, form_of
from edge_llama.chat.tools.marked_grammar import marked_grammar
from edge_llama.chat.tools.tool import CallMode, ToolChoice
from edge_llama.chat.tools.tool_calls import CallArguments, CallStarted, Part
from edge_llama.engine import binding
from edge_llama.engine.protocol.grammar import CFG, Grammar, JSONSchema, TriggeredCFG
from edge_llama.engine.sample.constraint_compiler import ConstraintCompiler
from tests.chat.tools.test_tool_calls import joined
from tests.chat.tools.test_tool_grammar import Speaker

FORMS = {name: form for name, form in vars(marked_form).items() if isinstance(form, MarkedForm)}
DEMO = Path("models/demo/edge-llama-demo.gguf")
NAMES = ("get_weather", "get", "add")
ADD: dict[str, Any] = {"a": 1, "b": {"c": "}"}}
ANY = {"type": "object"}
FUNCTIONS = [(name, ANY) for name in NAMES]


def written(form: MarkedForm, *calls: tuple[str, dict[str, Any]]) -> str:
    text = ""
    for number, (name, arguments) in enumerate(calls):
        opening = form.further(name) if number else form.first(name)
        text += f"{opening}{json.dumps(arguments)}{form.after}"
    return text + form.end


def parse(form: MarkedForm, *pieces: str, control: tuple[str, ...] = ()) -> list[Part]:
    parser = MarkedCallParser(form, NAMES, control)
    parts = [part for piece in pieces for part in parser.feed(piece)]
    parts += parser.flush(complete=True)
    assert "" not in parts
    return joined(parts)


def call(name: str, arguments: dict[str, Any]) -> list[Part]:
    return [CallStarted(name), CallArguments(json.dumps(arguments))]


@pytest.mark.parametrize("name", FORMS)
@given(data=st.data())
def test_calls_are_found_however_the_text_is_split(name: str, data: st.DataObject) -> None:
    form = FORMS[name]
    calls = [("add", ADD), ("get", {}), ("get_weather", {"city": "Paris"})]
    text = "Sure. <b>" + written(form, *calls)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = [part for each in calls for part in call(*each)]
    assert parse(form, *pieces) == ["Sure. <b>", *expected]


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_call_is_content(name: str) -> None:
    form = FORMS[name]
    for text in ("", "Hello!", form.mark, f"{form.mark} nothing", form.first("other")):
        assert parse(form, *text) == ([text] if text else [])


@pytest.mark.parametrize("name", FORMS)
def test_a_call_that_was_cut_off_is_given_as_it_is(name: str) -> None:
    form = FORMS[name]
    cut = form.first("add") + '{"a": '
    assert parse(form, *cut) == [CallStarted("add"), CallArguments('{"a": ')]


@pytest.mark.parametrize("name", FORMS)
def test_text_after_the_calls_is_content(name: str) -> None:
    form = FORMS[name]
    parts = parse(form, written(form, ("add", ADD)), "\n", "Done.")
    assert parts[:2] == call("add", ADD)
    assert "".join(part for part in parts[2:] if isinstance(part, str)).strip() == "Done."


def test_control_tokens_of_the_form_are_told_apart() -> None:
    parser = MarkedCallParser(marked_form.MISTRAL, NAMES, ("[TOOL_CALLS]", "</s>", "[INST]"))
    assert parser.controls == {"[TOOL_CALLS]"}
    parts = [*parser.control("[TOOL_CALLS]"), *parser.feed('[{"name": "add", "arguments": {}}]')]
    assert joined(parts) == call("add", {})


@pytest.fixture(scope="module")
def vocab() -> Iterator[binding.Vocab]:
    model = binding.Model(DEMO, gpu_layers=0, repack=False)
    yield model.vocab
    model.close()


def can_say(vocab: binding.Vocab, grammar: Grammar, text: str) -> bool:
    return Speaker(vocab).can_say(grammar, text)


@pytest.mark.parametrize("name", FORMS)
def test_the_grammar_has_whole_calls_only(vocab: binding.Vocab, name: str) -> None:
    form = FORMS[name]
    auto = marked_grammar(form, FUNCTIONS, ToolChoice(), control=())
    assert isinstance(auto, TriggeredCFG)
    one, two = written(form, ("add", ADD)), written(form, ("add", ADD), ("get", {}))
    for text in ("Hello!", one, f"Sure. {one}", two):
        assert can_say(vocab, auto, text), text
    for text in (one[:-1], written(form, ("other", {})), f"{form.mark}nothing"):
        assert not can_say(vocab, auto, text), text
    required = marked_grammar(form, FUNCTIONS, ToolChoice(CallMode.REQUIRED), control=())
    assert isinstance(required, CFG)
    assert can_say(vocab, required, one)
    assert not can_say(vocab, required, "Hello!")
    single = marked_grammar(form, FUNCTIONS, ToolChoice(parallel=False), control=())
    assert can_say(vocab, single, one)
    assert not can_say(vocab, single, two)


def test_arguments_are_held_to_their_schema(vocab: binding.Vocab) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    grammar = marked_grammar(marked_form.HERMES, [("add", schema)], ToolChoice(), control=())
    assert can_say(vocab, grammar, written(marked_form.HERMES, ("add", {"a": 1})))
    assert not can_say(vocab, grammar, written(marked_form.HERMES, ("add", {"a": "1"})))


def test_an_answer_in_a_form_or_calls(vocab: binding.Vocab) -> None:
    form = JSONSchema('{"type": "object"}', "response_format")
    grammar = marked_grammar(marked_form.HERMES, FUNCTIONS, ToolChoice(), control=(), schema=form)
    assert can_say(vocab, grammar, '{"x": 1}')
    assert can_say(vocab, grammar, written(marked_form.HERMES, ("add", ADD)))
    assert not can_say(vocab, grammar, "Hello!")


def test_a_mark_that_is_a_control_token(vocab: binding.Vocab) -> None:
    tag = "<|python_tag|>"
    form = MarkedForm(tag, '[{"name": {json}, "arguments": ', "}", None, "]")
    grammar = marked_grammar(form, FUNCTIONS, ToolChoice(), control=vocab.control_tokens)
    assert isinstance(grammar, TriggeredCFG)
    assert grammar.control == (tag,)
    constraint = ConstraintCompiler(vocab).compile(grammar)
    tokens = [*vocab.tokenize("Sure."), vocab.control_tokens[tag]]
    tokens += vocab.tokenize('[{"name": "add", "arguments": {}}]')
    assert all(map(constraint.accept, tokens))
    assert constraint.complete


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ("within <tool_call></tool_call> XML tags", "HERMES"),
        ("{{ '[TOOL_CALLS][' }}", "MISTRAL"),
        ("[TOOL_CALLS] + name + '[ARGS]'", "MISTRAL_ARGS"),
        ("respond only with <|tool_call|> followed by a JSON list", "GRANITE"),
        ("<|tool|>{{ tools }}<|/tool|>", "PHI"),
        ("' functools['", "FIREFUNCTION"),
        ("<function=example>{}</function>", "FUNCTIONARY"),
        ("'<｜tool▁calls▁begin｜>' '\\n```json\\n'", "DEEPSEEK_R1"),  # noqa: RUF001
        ("'<｜tool▁calls▁begin｜>'", "DEEPSEEK"),  # noqa: RUF001
        ("<tool_call><function=f><parameter=x>", None),
        ("<tool_call>f<arg_key>x</arg_key>", None),
        ("{{ messages }}", None),
    ],
)
def test_the_form_is_seen_in_the_template(template: str, form: str | None) -> None:
    assert form_of(template) == (None if form is None else FORMS[form])
