from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.errors import SettingsError
from edge_llama.tune.measurement import Rate
from edge_llama.tune.measurer import ChildMeasurer
from edge_llama.tune.sample import LAYERS, SMALL, few_layers, is_sampled
from edge_llama.tune.workload import Workload
from edge_llama.weights.memory.model_shape import ModelShape
from tests.gguf_factory import write_tiny_gguf
from tests.tune.test_measurer import LIMIT, ONE_THREAD
from tests.tune.tuning import SHAPE


@pytest.fixture
def shape(tmp_path: Path) -> ModelShape:
    """Of a small model with many layers."""
    path = write_tiny_gguf(tmp_path / "m.gguf", n_vocab=1024, n_layer=8, n_head_kv=1, tied=False)
    return replace(ModelShape.of_file(path), quantization="F16")


def test_some_layers_have_the_shape_of_the_whole(shape: ModelShape) -> None:
    with few_layers(shape) as subject:
        path = subject.path
        sample = ModelShape.of_file(path)
        measurer = ChildMeasurer(str(path), subject.scale)
        measurement = measurer.measure(ONE_THREAD, Workload(decode=(0,)), LIMIT)
    assert not path.exists()
    assert subject.layers == LAYERS
    assert subject.scale.layers == shape.layers / LAYERS
    assert measurement.figures().keys() == {Rate("decode", 0)}
    assert sample.layers == LAYERS
    assert sample.kv_heads == shape.kv_heads * LAYERS // shape.layers
    assert sample.quantization == "F16"
    assert sample.feed_forward_length == shape.feed_forward_length
    matrices = 2 * shape.vocabulary * shape.embedding_length
    layers = sample.parameters - matrices
    assert layers / (shape.parameters - matrices) == pytest.approx(LAYERS / shape.layers, rel=0.01)
    read = layers + matrices / 2
    assert subject.scale.output == pytest.approx(matrices / 2 / read, rel=0.01)


def test_large_models_are_judged_by_some_layers() -> None:
    large = replace(SHAPE, architecture="llama", quantization="Q4_K_M")
    assert is_sampled(large)
    assert not is_sampled(replace(large, weight_bytes=SMALL))
    assert not is_sampled(replace(large, architecture="qwen2"))
    assert not is_sampled(replace(large, quantization="IQ2_XS"))


def test_other_quantizations_must_be_here() -> None:
    with (
        pytest.raises(SettingsError, match="edge-llama pull"),
        few_layers(replace(SHAPE, quantization="IQ2_XS")),
    ):
        pass
