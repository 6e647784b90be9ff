from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from edge_llama.bench.synthetic.gguf_writer import HeaderValue
from edge_llama.errors import ModelFileError
from edge_llama.weights.demo import bundled_model
from edge_llama.weights.gguf.check import MAX_TOKENS, check_model
from edge_llama.weights.gguf.model import read_model
from tests.gguf_factory import write_tiny_gguf


def refusal(path: Path) -> str:
    model = read_model(path)
    with pytest.raises(ModelFileError) as caught:
        check_model(model)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_models_that_run_pass(tmp_path: Path) -> None:
    check_model(read_model(bundled_model()))
    for n_vocab in (268, 512):
        check_model(read_model(write_tiny_gguf(tmp_path / "tiny.gguf", n_vocab=n_vocab)))
    check_model(read_model(write_tiny_gguf(tmp_path / "tiny.gguf", n_embd=128, n_head_kv=2)))


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"llama.block_count": 0}, "it has 0 layers"),
        ({"llama.block_count": 513}, "it has 513 layers"),
        ({"llama.nextn_predict_layers": 3}, "predicts with more layers"),
        ({"llama.expert_count": 4}, "4 experts and uses 0"),
        ({"llama.expert_used_count": 2}, "0 experts and uses 2"),
        ({"llama.expert_count": 4096, "llama.expert_used_count": 2}, "4096 experts"),
        ({"llama.expert_group_count": 2}, "2 groups of 0 experts"),
        ({"llama.rope.scaling.type": "spiral"}, "rope scaling"),
        ({"llama.attention.layer_norm_rms_epsilon": -1.0}, "no small number"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "no small number"),
        ({"llama.attention.key_length": 64}, "impossible widths"),
        ({"llama.rope.dimension_count": 16}, "impossible widths"),
        ({"llama.attention.head_count_kv": 3}, "cannot share 3"),
        ({"llama.attention.head_count_kv": 0}, "cannot share 0"),
        ({"llama.full_attention_interval": 0}, "its full_attention_interval is 0"),
        ({"llama.experts_per_group": 0}, "its experts_per_group is 0"),
        ({"tokenizer.ggml.model": "no_vocab"}, "it has no vocabulary"),
        ({"tokenizer.ggml.model": "none"}, "it has no vocabulary"),
        ({"tokenizer.ggml.tokens": 7}, "it has no vocabulary"),
    ],
)
def test_what_llama_cpp_asserts_is_refused(
    tmp_path: Path, metadata: Mapping[str, HeaderValue], said: str
) -> None:
    assert said in refusal(write_tiny_gguf(tmp_path / "tiny.gguf", metadata=metadata))


STATES = {"ssm.inner_size": 128, "ssm.group_count": 1}


@pytest.mark.parametrize(
    ("architecture", "metadata", "said"),
    [
        ("smallthinker", {}, "it has no experts"),
        ("glm4moe", {}, "it has no experts"),
        ("llada-moe", {"expert_count": 0}, "it has no experts"),
        ("jamba", STATES | {"ssm.inner_size": 0}, "0 wide and not twice its width of 64"),
        ("granitehybrid", STATES | {"ssm.inner_size": 64}, "64 wide and not twice its width of 64"),
        ("mamba2", STATES | {"ssm.group_count": 0}, "its ssm.group_count is 0"),
    ],
)
def test_what_an_architecture_must_have(
    tmp_path: Path, architecture: str, metadata: Mapping[str, int], said: str
) -> None:
    def write(values: Mapping[str, int]) -> Path:
        return write_tiny_gguf(
            tmp_path / "tiny.gguf",
            metadata={
                "general.architecture": architecture,
                f"{architecture}.embedding_length": 64,
                **{f"{architecture}.{key}": value for key, value in values.items()},
            },
        )

    assert said in refusal(write(metadata))
    check_model(read_model(write(STATES | {"expert_count": 4, "expert_used_count": 2})))


@pytest.mark.parametrize(("token", "other"), [(b"a", b"b"), ("Ġb".encode(), b"a\0x")])
def test_a_token_that_is_there_twice_is_refused(tmp_path: Path, token: bytes, other: bytes) -> None:
    """llama.cpp reads a token up to a NUL."""
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    length = len(token).to_bytes(8, "little")
    content = path.read_bytes()
    assert length + token in content
    path.write_bytes(content.replace(length + token, length + other, 1))
    assert "a token twice" in refusal(path)


def with_vocabulary(
    path: Path, tokenizer: str, tokens: Sequence[str], **others: HeaderValue
) -> Path:
    metadata: dict[str, HeaderValue] = {
        "tokenizer.ggml.model": tokenizer,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(tokens),
        **{f"tokenizer.ggml.{key}": value for key, value in others.items()},
    }
    return write_tiny_gguf(path, n_vocab=max(len(tokens), 300), metadata=metadata)


SENTENCEPIECE = [f"<0x{byte:02X}>" for byte in range(256)]
RWKV = [repr(bytes([byte]))[2:-1] for byte in range(256)]


@pytest.mark.parametrize(
    ("tokenizer", "tokens"),
    [("llama", SENTENCEPIECE), ("llama\0", SENTENCEPIECE), ("rwkv", RWKV)],
)
@pytest.mark.parametrize("missing", [0x00, 0x0A, 0x61, 0xF0])
def test_a_vocabulary_must_have_a_token_for_each_byte(
    tmp_path: Path, tokenizer: str, tokens: list[str], missing: int
) -> None:
    path = tmp_path / "tiny.gguf"
    check_model(read_model(with_vocabulary(path, tokenizer, ["<unk>", *tokens])))
    fewer = [token for byte, token in enumerate(tokens) if byte != missing]
    for more in ([], ["<unk>", *(f"more {n}" for n in range(300))]):
        said = refusal(with_vocabulary(path, tokenizer, [*fewer, *more]))
        assert f"no token for the byte 0x{missing:02X}" in said


def test_sentencepiece_may_spell_a_byte_as_itself(tmp_path: Path) -> None:
    tokens = [chr(byte) if 0 < byte < 128 else SENTENCEPIECE[byte] for byte in range(256)]
    check_model(read_model(with_vocabulary(tmp_path / "tiny.gguf", "llama", tokens)))


@pytest.mark.parametrize("count", [90, 300])
def test_word_pieces_have_no_bytes_and_a_token_for_the_unknown(tmp_path: Path, count: int) -> None:
    tokens = [f"piece {n}" for n in range(count)]

    def write(**others: HeaderValue) -> Path:
        return with_vocabulary(tmp_path / "tiny.gguf", "bert", tokens, **others)

    check_model(read_model(write(unknown_token_id=1)))
    bytes_too = [1] * (count - 1) + [6]
    assert "tokens of bytes" in refusal(write(unknown_token_id=1, token_type=bytes_too))
    if count > 100:
        check_model(read_model(write()))
    else:
        assert "no token for unknown words" in refusal(write())
        assert "no token for unknown words" in refusal(write(unknown_token_id=count))


def test_a_map_of_characters_must_not_lead_out_of_itself(tmp_path: Path) -> None:
    path, tokens = tmp_path / "tiny.gguf", [f"token {n}" for n in range(300)]

    def write(charsmap: Sequence[int]) -> Path:
        return with_vocabulary(path, "t5", tokens, precompiled_charsmap=charsmap)

    closed = [0, 4, 0, 0, *bytes(1024), 0]
    check_model(read_model(with_vocabulary(path, "t5", tokens)))
    check_model(read_model(write(closed)))
    for broken in (closed[:-1], closed[:8], [0, 4, 0, 0, 0, 0, 4, *bytes(1022)], [0] * (1 << 22)):
        assert "leads out of itself" in refusal(write(broken))


def test_a_small_vocabulary_is_checked_too(tmp_path: Path) -> None:
    path = with_vocabulary(tmp_path / "tiny.gguf", "gpt2", ["a", "b", "a"])
    assert "a token twice" in refusal(path)


def test_an_endless_vocabulary_is_refused(tmp_path: Path) -> None:
    tokens = list(map(str, range(MAX_TOKENS + 1)))
    path = write_tiny_gguf(tmp_path / "tiny.gguf", metadata={"tokenizer.ggml.tokens": tokens})
    assert "has 1,048,577 tokens" in refusal(path)
