from __future__ import annotations

from edge_llama.chat.template.text_prompt import TextPrompts
from edge_llama.engine.protocol.prompt import Control, Text
from tests.fakes import model_info

BOS, EOT = Control("<|begin_of_text|>"), Control("<|eot_id|>")
PROMPTS = TextPrompts(model_info())


def test_control_tokens_may_be_spelled_out() -> None:
    assert PROMPTS.prompt("a<|eot_id|>b<|no|>") == (BOS, Text("a"), EOT, Text("b<|no|>"))


def test_a_prompt_begins_once() -> None:
    assert PROMPTS.prompt("<|begin_of_text|>a") == (BOS, Text("a"))
    assert PROMPTS.prompt("a<|begin_of_text|>") == (BOS, Text("a"), BOS)
    assert PROMPTS.prompt("") == (BOS,)
    assert PROMPTS.prompt("a", bos=False) == (Text("a"),)
    assert PROMPTS.prompt("", bos=False) == ()


def test_a_model_may_have_no_such_tokens() -> None:
    prompts = TextPrompts(model_info(control_tokens={}, bos_token=""))
    assert prompts.prompt("<|eot_id|>") == (Text("<|eot_id|>"),)
