from __future__ import annotations

import pytest

from edge_llama.engine.constraint import Constraint
from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.prompt import Control, Prompt, Text, Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.protocol.wire import Refused
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.worker.intake import Intake
from edge_llama.errors import ContextLengthExceeded, InvalidValue


class ByteTokenizer:
    n_tokens = 258
    control_tokens = {"<|begin_of_text|>": 256, "<|eot_id|>": 257}  # noqa: RUF012

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())


class NoCompiler:
    def compile(self, grammar: Grammar) -> Constraint:
        raise AssertionError("no grammar was given")


INTAKE = Intake(ByteTokenizer(), n_ctx=20, compiler=NoCompiler())


def sequences(id: int, request: GenerationRequest, intake: Intake = INTAKE) -> list[Sequence]:
    return intake.sequences(id, request, intake.read(request), arrived=0.0)


def accept(*prompt: Control | Text | Tokens, **fields: object) -> list[int]:
    request = GenerationRequest(prompt=prompt, options=GenerationOptions(**fields))  # type: ignore[arg-type]
    return sequences(1, request)[0].token_ids


def test_segments_become_tokens_and_text_forges_none() -> None:
    prompt: Prompt = (Control("<|begin_of_text|>"), Text("<|eot_id|>"), Tokens((1, 2)))
    assert accept(*prompt) == [256, *b"<|eot_id|>", 1, 2]


def test_each_choice_has_tokens_and_a_seed_of_its_own() -> None:
    request = GenerationRequest(
        prompt=(Text("ab"),), options=GenerationOptions(n=2, sampling=SamplingParams(seed=5))
    )
    first, second = sequences(7, request)
    assert (first.id, first.index, second.index) == (7, 0, 1)
    assert first.token_ids is not second.token_ids
    assert (first.sampling.seed, second.sampling.seed) == (5, 6)


def test_sequences_have_the_cache_domain_of_their_request() -> None:
    request = GenerationRequest(prompt=(Text("ab"),), options=GenerationOptions(cache_domain="a"))
    assert [sequence.cache_domain for sequence in sequences(7, request)] == ["a"]


@pytest.mark.parametrize(("max_tokens", "length"), [(None, 20), (3, 5), (100, 20)])
def test_length_is_bounded_by_request_and_context(max_tokens: int | None, length: int) -> None:
    request = GenerationRequest(
        prompt=(Text("ab"),), options=GenerationOptions(max_tokens=max_tokens)
    )
    assert sequences(1, request)[0].max_length == length


@pytest.mark.parametrize(
    ("prompt", "fields", "param"),
    [
        ((), {}, "prompt"),
        ((Text(""),), {}, "prompt"),
        ((Control("<|nope|>"),), {}, "prompt"),
        ((Tokens((258,)),), {}, "prompt"),
        ((Tokens((-1,)),), {}, "prompt"),
        ((Text("a"),), {"n": 0}, "n"),
        ((Text("a"),), {"max_tokens": -1}, "max_tokens"),
        ((Text("a"),), {"prompt_logprobs": 21}, "prompt_logprobs"),
        ((Text("a"),), {"logprobs": -1}, "logprobs"),
        ((Text("a"),), {"logprobs": 21}, "logprobs"),
        ((Text("a"),), {"sampling": SamplingParams(logit_bias={258: 1.0})}, "logit_bias"),
    ],
)
def test_what_cannot_run_is_refused_by_name(
    prompt: Prompt, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(InvalidValue) as error:
        accept(*prompt, **fields)
    assert error.value.param == param


def test_a_prompt_leaves_room_for_one_token_at_least() -> None:
    assert len(accept(Text("x" * 19))) == 19
    assert len(accept(Text("x" * 20), max_tokens=0)) == 20
    with pytest.raises(ContextLengthExceeded) as error:
        accept(Text("x" * 20))
    assert "maximum context length is 20 tokens" in str(error.value)
    assert (error.value.n_ctx, error.value.prompt_tokens) == (20, 20)


@pytest.mark.parametrize(
    "error", [InvalidValue("bad", param="n"), ContextLengthExceeded(10, 99)], ids=repr
)
def test_a_refusal_crosses_the_pipe_whole(error: InvalidValue | ContextLengthExceeded) -> None:
    back = Refused.of(1, error).error()
    assert type(back) is type(error)
    assert (back.message, back.param, back.code) == (error.message, error.param, error.code)


@pytest.mark.parametrize(
    ("asked", "allowed", "length"),
    [(None, 3, 7), (2, 3, 6), (9, 3, 7), (None, 99, 20), (99, None, 20)],
)
def test_the_servers_limit_of_output_counts_whatever_is_asked(
    asked: int | None, allowed: int | None, length: int
) -> None:
    intake = Intake(ByteTokenizer(), n_ctx=20, compiler=NoCompiler(), max_tokens=allowed)
    request = GenerationRequest(prompt=(Text("abcd"),), options=GenerationOptions(max_tokens=asked))
    assert sequences(1, request, intake)[0].max_length == length
