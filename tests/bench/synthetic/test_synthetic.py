from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import pytest

from edge_llama.bench.synthetic import synthetic
from edge_llama.bench.synthetic.blocks import RandomWeights, WeightFormat
from edge_llama.bench.synthetic.synthetic import SHAPES, Shape, file_size, synthetic_model, tensors
from edge_llama.errors import SettingsError

MINI = Shape(
    n_layer=4,
    n_embd=256,
    n_ff=512,
    n_head=4,
    n_head_kv=2,
    head_dim=64,
    n_vocab=600,
    n_control=256,
)


class DiskUsage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def mini_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "mini", MINI)


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    return synthetic_model("mini", tmp_path)


@pytest.mark.parametrize(
    ("name", "gigabytes", "billions"),
    [
        ("llama-3.2-1b", 0.80, 1.236),
        ("llama-3.2-3b", 2.01, 3.213),
        ("llama-3.1-8b", 4.91, 8.030),
        ("15m", 0.0105, 0.0145),
    ],
)
def test_shapes_are_as_large_as_the_real_ones(name: str, gigabytes: float, billions: float) -> None:
    shape = SHAPES[name]
    numbers = sum(int(np.prod(t.shape)) for t in tensors(shape, None, RandomWeights(1)))
    assert file_size(shape) / 1e9 == pytest.approx(gigabytes, rel=0.01)
    assert numbers / 1e9 == pytest.approx(billions, rel=0.01)


def test_the_mix_is_that_of_q4_k_m() -> None:
    """The 8B counts are those that llama.cpp prints for real files of Llama 3.1 8B."""

    def types(name: str) -> Counter[WeightFormat]:
        return Counter(t.type for t in tensors(SHAPES[name], None, RandomWeights(1)))

    q4, q6, f32 = WeightFormat.Q4_K, WeightFormat.Q6_K, WeightFormat.F32
    assert types("llama-3.2-1b") == {q4: 96, q6: 17, f32: 34}
    assert types("llama-3.1-8b") == {q4: 193, q6: 33, f32: 66}


def test_the_file_reads_back(mini: Path) -> None:
    reader: Any = gguf.GGUFReader(mini)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    assert stored["token_embd.weight"].tensor_type == gguf.GGMLQuantizationType.Q6_K
    assert stored["blk.0.attn_k.weight"].shape.tolist() == [256, 128]
    assert "output.weight" not in stored, "the embeddings are the output too"
    assert (stored["blk.3.ffn_norm.weight"].data == 1).all()
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.file_type"] == 15
    assert fields["llama.attention.head_count_kv"] == 2
    assert fields["tokenizer.ggml.pre"] == "llama-bpe"
    assert fields["tokenizer.ggml.eot_token_id"] == 600 - 256 + 9


def test_rope_factors_are_llama_3_1s(mini: Path) -> None:
    """High frequencies are left alone, low ones stretched by the whole factor."""
    reader: Any = gguf.GGUFReader(mini)
    factors = next(t.data for t in reader.tensors if t.name == "rope_freqs.weight")
    assert factors.shape == (32,)
    assert factors[0] == 1
    assert factors[-1] == 32
    assert (np.diff(factors) >= 0).all()


def test_the_file_is_written_once(mini: Path, tmp_path: Path) -> None:
    before = mini.stat().st_mtime_ns
    assert synthetic_model("mini", tmp_path) == mini
    assert mini.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["mini-Q4_K_M-random-v1.gguf"]


def test_nothing_stays_behind_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(synthetic, "write_gguf", fail)
    with pytest.raises(SettingsError, match="disk full"):
        synthetic_model("mini", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_seen_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(10**9, 10**9 - 5, 5))
    with pytest.raises(SettingsError, match="--cache-dir"):
        synthetic_model("mini", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_shape_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"llama-3\.2-1b.*not '70b'"):
        synthetic_model("70b", tmp_path)


@pytest.mark.parametrize("n_layer", [2, 4, 8, 12, 16, 20, 24, 28, 32])
def test_half_of_the_layers_get_more_bits(n_layer: int) -> None:
    shape = synthetic.shape_of("mini", n_layer)
    kinds = Counter(t.type for t in tensors(shape, None, RandomWeights(1)) if "ffn_down" in t.name)
    assert kinds == {WeightFormat.Q4_K: n_layer / 2, WeightFormat.Q6_K: n_layer / 2}


def test_a_few_layers_in_another_quantization(tmp_path: Path) -> None:
    path = synthetic_model("mini", tmp_path, quantization="Q8_0", n_layer=2)
    assert path.name == "mini-2-layers-Q8_0-random-v1.gguf"
    reader: Any = gguf.GGUFReader(path)
    matrices = {t.name: t.tensor_type for t in reader.tensors if len(t.shape) == 2}
    assert set(matrices.values()) == {gguf.GGMLQuantizationType.Q8_0}
    assert reader.fields["llama.block_count"].contents() == 2
    assert "blk.2.attn_q.weight" not in matrices


def test_a_quantization_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Q4_K_M, Q8_0, F16, not in 'Q5_K_M'"):
        synthetic_model("mini", tmp_path, quantization="Q5_K_M")


def test_models_are_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path))
    assert synthetic.cached_path("mini").parent == tmp_path / "cache" / "bench"
    assert synthetic.cached_path("mini", Path("/x")).parent == Path("/x")
    monkeypatch.delenv("EDGE_LLAMA_HOME")
    assert "edge-llama" in str(synthetic.cached_path("mini"))
