"""llama.cpp itself, through the binding, on a tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_llama.engine.binding import (
    Batch,
    Context,
    DecodeStatus,
    FloatArray,
    Model,
    init_backend,
)
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.sample.sampler import Sampler
from edge_llama.errors import ModelFileError
from tests.gguf_factory import write_tiny_gguf

FILL_PARTS = ("pre", "suf", "mid")


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Iterator[Model]:
    init_backend()
    model = Model(tiny_gguf, gpu_layers=0, repack=False)
    yield model
    model.close()


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    context = Context(
        model,
        n_ctx=256,
        n_seq_max=4,
        batch_size=64,
        threads=1,
        threads_batch=1,
        flash_attention=False,
    )
    yield context
    context.close()


def decode(context: Context, tokens: list[int], pos: int = 0, seq_id: int = 0) -> FloatArray:
    batch = Batch(64)
    index = batch.add(tokens, pos, seq_id, 1)
    assert context.decode(batch) is DecodeStatus.OK
    logits: FloatArray = context.logits(index).copy()
    return logits


def test_tokens_round_trip_and_text_forges_no_control_token(model: Model) -> None:
    text = "Hello <|eot_id|> wörld 🙂\n"
    tokens = model.vocab.tokenize(text)
    assert b"".join(map(model.vocab.piece, tokens)).decode() == text
    assert not set(tokens) & set(model.vocab.control_tokens.values())
    assert model.vocab.tokenize("") == []


def test_control_tokens_are_known_and_have_no_bytes(model: Model) -> None:
    vocab = model.vocab
    assert vocab.spelling(vocab.bos) == "<|begin_of_text|>"
    assert vocab.control_tokens["<|eot_id|>"] in vocab.eog_tokens
    assert vocab.piece(vocab.control_tokens["<|eot_id|>"]) == b""


def test_chunks_give_the_same_logits_as_one_batch(context: Context) -> None:
    tokens = list(range(20, 40))
    whole = decode(context, tokens)
    decode(context, tokens[:7], seq_id=1)
    chunked = decode(context, tokens[7:], pos=7, seq_id=1)
    np.testing.assert_allclose(chunked, whole, rtol=1e-3, atol=1e-4)


def test_a_shared_prefix_gives_the_same_logits(context: Context) -> None:
    tokens = list(range(20, 40))
    whole = decode(context, tokens)
    context.copy(0, 2, 0, 12)
    assert context.length(2) == 12
    shared = decode(context, tokens[12:], pos=12, seq_id=2)
    np.testing.assert_allclose(shared, whole, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("flash_attention", [False, True])
def test_streams_that_are_copied_moved_and_restored_give_identical_logits(
    model: Model, flash_attention: bool
) -> None:
    context = Context(
        model,
        n_ctx=256,
        n_seq_max=3,
        batch_size=64,
        streams=True,
        threads=1,
        threads_batch=1,
        flash_attention=flash_attention,
    )
    assert context.n_cells == 3 * 256
    tokens = list(range(20, 40))
    decode(context, [*tokens, 7, 7, 7])
    decode(context, [9, 9], seq_id=1)
    context.remove(0, 20)
    cold = decode(context, [5], pos=20)
    context.copy(0, 2, 0, -1)
    context.remove(0)
    context.copy(1, 0, 0, -1)
    context.copy(2, 1, 0, -1)
    assert [context.length(seq_id) for seq_id in range(3)] == [2, 21, 21]
    for seq_id in (1, 2):
        context.remove(seq_id, 20)
        assert np.array_equal(decode(context, [5], pos=20, seq_id=seq_id), cold)
    state = context.save_sequence(2)
    assert context.restore_sequence(0, state)
    context.remove(0, 20)
    assert np.array_equal(decode(context, [5], pos=20), cold)
    context.close()


def test_state_is_saved_and_restored(context: Context) -> None:
    tokens = list(range(20, 40))
    decode(context, tokens[:-1])
    state = context.save_sequence(0)
    whole = decode(context, tokens[-1:], pos=19)
    assert context.restore_sequence(3, state)
    assert context.length(3) == 19
    restored = decode(context, tokens[-1:], pos=19, seq_id=3)
    np.testing.assert_allclose(restored, whole, rtol=1e-3, atol=1e-4)
    assert not context.restore_sequence(3, np.frombuffer(b"nonsense", np.uint8))


def test_the_abort_flag_stops_a_decode_and_the_sequence_rolls_back(context: Context) -> None:
    decode(context, [20, 21, 22])
    batch = Batch(64)
    batch.add([23] * 40, 3, 0, 1)
    context.abort_flag.set()
    assert context.decode(batch) is DecodeStatus.ABORTED
    context.abort_flag.clear()
    context.remove(0, 3)
    assert context.length(0) == 3
    assert context.decode(batch) is DecodeStatus.OK


def test_several_outputs_of_several_sequences(context: Context) -> None:
    first, second = [30, 31, 32], [40, 41]
    alone = [decode(context, first[:2], seq_id=2), decode(context, second, seq_id=3)]
    batch = Batch(64)
    a = batch.add(first, 0, 0, 2)
    b = batch.add(second, 0, 1, 1)
    assert (a, b) == (1, 4)
    assert context.decode(batch) is DecodeStatus.OK
    np.testing.assert_allclose(context.logits(a), alone[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(context.logits(b), alone[1], rtol=1e-3, atol=1e-4)


def test_no_room_is_told_not_fatal(context: Context) -> None:
    for start in range(0, 256, 64):
        decode(context, [20] * 64, pos=start)
    batch = Batch(64)
    batch.add([20], 0, 1, 1)
    assert context.decode(batch) is DecodeStatus.NO_SLOT


class TestSampler:
    def sample(self, model: Model, context: Context, prompt: list[int], **fields: object) -> int:
        logits_of = decode(context, [20, 21, 22], seq_id=1)
        context.remove(1)
        self.logits = logits_of
        params = SamplingParams(**fields)  # type: ignore[arg-type]
        return Sampler(params, model.vocab, prompt).sample(context.logits(2))

    def test_zero_temperature_is_greedy(self, model: Model, context: Context) -> None:
        token = self.sample(model, context, [], temperature=0.0)
        assert token == int(np.argmax(self.logits))

    def test_the_same_seed_gives_the_same_token(self, model: Model, context: Context) -> None:
        tokens = [self.sample(model, context, [], temperature=2.0, seed=s) for s in (1, 1, 2, 3, 4)]
        assert tokens[0] == tokens[1]
        assert len(set(tokens)) > 1

    def test_top_k_one_and_tiny_top_p_are_greedy(self, model: Model, context: Context) -> None:
        for fields in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
            token = self.sample(model, context, [], temperature=2.0, **fields)
            assert token == int(np.argmax(self.logits))

    def test_bias_forces_and_forbids(self, model: Model, context: Context) -> None:
        assert self.sample(model, context, [], temperature=0.0, logit_bias={77: 100.0}) == 77
        best = int(np.argmax(self.logits))
        assert self.sample(model, context, [], temperature=0.0, logit_bias={best: -100.0}) != best

    def test_repetition_penalty_counts_the_prompt(self, model: Model, context: Context) -> None:
        best = self.sample(model, context, [], temperature=0.0)
        repeated = self.sample(model, context, [best], temperature=0.0, repetition_penalty=100.0)
        assert repeated != best

    def test_presence_penalty_counts_only_the_output(self, model: Model, context: Context) -> None:
        best = self.sample(model, context, [], temperature=0.0)
        assert self.sample(model, context, [best], temperature=0.0, presence_penalty=2.0) == best

    def test_ignore_eos_never_ends(self, model: Model, context: Context) -> None:
        eos = next(iter(model.vocab.eog_tokens))
        forced = {"temperature": 0.0, "logit_bias": {eos: 100.0}}
        assert self.sample(model, context, [], **forced) == eos
        assert self.sample(model, context, [], ignore_eos=True, **forced) != eos


def test_a_file_that_is_no_model_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelFileError, match=r"broken\.gguf"):
        Model(path, gpu_layers=0, repack=False)


def test_the_cause_of_a_failed_load_is_told(tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match="not within the file bounds"):
        Model(path, gpu_layers=0, repack=False)


def test_the_tokens_to_fill_in_the_middle_with(model: Model, tmp_path: Path) -> None:
    assert set(model.vocab.fill_tokens.values()) == {None}
    named = {f"tokenizer.ggml.fim_{part}_token_id": id for id, part in enumerate(FILL_PARTS, 3)}
    filling = Model(write_tiny_gguf(tmp_path / "fill.gguf", metadata=named), gpu_layers=0)
    found = filling.vocab.fill_tokens
    filling.close()
    assert found == {"prefix": 3, "suffix": 4, "middle": 5, "repository": None, "file": None}
