"""The tiny models of the tests load and run in llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_llama.bench.synthetic.blocks import WeightFormat
from edge_llama.bench.synthetic.synthetic import write_model
from edge_llama.engine import binding
from tests.bench.synthetic.test_synthetic import MINI
from tests.gguf_factory import write_tiny_gguf


@pytest.fixture(scope="module", autouse=True)
def backend() -> None:
    binding.init_backend()


def logits(model: binding.Model) -> binding.FloatArray:
    context = binding.Context(
        model,
        n_ctx=256,
        n_seq_max=1,
        batch_size=16,
        threads=1,
        threads_batch=1,
        flash_attention=False,
    )
    batch = binding.Batch(16)
    index = batch.add([65, 66, 67], 0, 0, n_outputs=1)
    assert context.decode(batch) is binding.DecodeStatus.OK
    values: binding.FloatArray = context.logits(index).copy()
    context.close()
    return values


@pytest.mark.parametrize("kind", [WeightFormat.F32, WeightFormat.F16, WeightFormat.Q8_0])
@pytest.mark.parametrize("tied", [True, False])
def test_a_tiny_model_runs(tmp_path: Path, kind: WeightFormat, tied: bool) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", kind=kind, tied=tied, n_ctx=4096)
    model = binding.Model(path, gpu_layers=0, repack=False)
    assert model.n_ctx_train == 4096
    assert model.vocab.n_tokens == 512
    assert model.vocab.bos == model.vocab.control_tokens["<|begin_of_text|>"] == 501
    assert model.chat_template == ""
    names = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")
    assert model.vocab.eog_tokens >= {model.vocab.control_tokens[name] for name in names[1:]}
    values = logits(model)
    assert np.isfinite(values).all()
    assert 0.1 < values.std() < 10
    model.close()


def test_the_mix_of_a_named_shape_runs(tmp_path: Path) -> None:
    write_model(tmp_path / "mini.gguf", MINI, name="mini")
    model = binding.Model(tmp_path / "mini.gguf", gpu_layers=0, repack=False)
    assert model.quantization == "Q4_K_M"
    values = logits(model)
    assert np.isfinite(values).all()
    assert 0.1 < values.std() < 10
    model.close()


def test_text_round_trips_and_whole_words_are_tokens(tmp_path: Path) -> None:
    model = binding.Model(
        write_tiny_gguf(tmp_path / "tiny.gguf", n_vocab=2048), gpu_layers=0, repack=False
    )
    text = "ab cd\nzoë 🙂 <|eot_id|>"
    ids = model.vocab.tokenize(text)
    assert b"".join(map(model.vocab.piece, ids)).decode() == text
    assert len(model.vocab.tokenize("ab cd")) == 2
    model.close()


def test_template_and_seed(tmp_path: Path) -> None:
    one = write_tiny_gguf(tmp_path / "one.gguf", chat_template="{{ messages }}", seed=1)
    same = write_tiny_gguf(tmp_path / "same.gguf", chat_template="{{ messages }}", seed=1)
    other = write_tiny_gguf(tmp_path / "other.gguf", chat_template="{{ messages }}", seed=2)
    assert one.read_bytes() == same.read_bytes()
    assert one.read_bytes() != other.read_bytes()
    model = binding.Model(one, gpu_layers=0, repack=False)
    assert model.chat_template == "{{ messages }}"
    model.close()
