from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_llama.bench.gguf_writer import MetadataValue
from edge_llama.errors import ModelFileError
from edge_llama.weights import bundled_model
from edge_llama.weights.gguf_check import check_model
from edge_llama.weights.gguf_model import read_model
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
    ],
)
def test_what_llama_cpp_asserts_is_refused(
    tmp_path: Path, metadata: Mapping[str, MetadataValue], said: str
) -> None:
    assert said in refusal(write_tiny_gguf(tmp_path / "tiny.gguf", metadata=metadata))


@pytest.mark.parametrize(("token", "other"), [(b"a", b"b"), ("Ġb".encode(), b"a\0x")])
def test_a_token_that_is_there_twice_is_refused(tmp_path: Path, token: bytes, other: bytes) -> None:
    """llama.cpp reads a token up to a NUL."""
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    length = len(token).to_bytes(8, "little")
    content = path.read_bytes()
    assert length + token in content
    path.write_bytes(content.replace(length + token, length + other, 1))
    assert "a token twice" in refusal(path)
