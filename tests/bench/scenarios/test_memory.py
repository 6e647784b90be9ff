from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edge_llama.bench.scenarios.memory import MemoryFigure, measure_memory
from edge_llama.bench.synthetic.synthetic import Shape, synthetic_model, write_model
from edge_llama.settings.engine import EngineSettings
from edge_llama.weights.demo import bundled_model
from edge_llama.weights.memory.memory_plan import MemoryPlan
from tests.weights.memory.shapes import LLAMA_8B

TOLERANCE = 0.1

SHAPES_VARIABLE = "EDGE_LLAMA_TEST_SHAPES"

WIDE = Shape(n_layer=4, n_embd=512, n_ff=1536, n_head=8, n_head_kv=4, head_dim=64)
"""Small, with the vocabulary of the real ones, which is most of what it takes."""

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="the processes' own memory was measured on Linux"
)


def figure(engine: int, server: int) -> MemoryFigure:
    plan = MemoryPlan(
        LLAMA_8B, EngineSettings(model="", ctx_size=4096, kv_type="f16", kv_layout="unified")
    )
    return MemoryFigure(plan, engine, server)


def test_a_figure_is_shown_with_others() -> None:
    planned = figure(0, 0).plan
    measured = figure(planned.total, planned.total // 20)
    assert measured.deviation == pytest.approx(0.05)
    result = measured.result()
    values = {quantity.key: row["server"].median for quantity, row in result.figures.items()}
    assert result.name == "memory"
    assert "4,096 tokens" in result.title
    assert values["measured"] == values["engine_memory"] + values["server_memory"]
    assert values["ratio"] == pytest.approx(1.05)
    extra = planned.total - planned.weights - planned.kv_cache
    assert values["engine_extra"] == extra


@linux_only
async def test_the_demo_takes_what_is_planned() -> None:
    steps: list[str] = []
    measured = await measure_memory(bundled_model(), threads=1, progress=steps.append)
    assert measured.plan.ctx_size == 4096
    assert measured.deviation == pytest.approx(0, abs=TOLERANCE)
    assert steps[0] == "starting server"


@linux_only
async def test_a_model_with_a_large_vocabulary_takes_what_is_planned(tmp_path: Path) -> None:
    path = tmp_path / "wide.gguf"
    write_model(path, WIDE, name="wide")
    measured = await measure_memory(path, threads=1, progress=lambda _: None, ctx_size=2048)
    assert measured.plan.ctx_size == 2048
    assert measured.deviation == pytest.approx(0, abs=TOLERANCE)


@linux_only
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shape", ["llama-3.2-1b", "llama-3.1-8b"])
async def test_real_shapes_take_what_is_planned(shape: str) -> None:
    if shape not in os.environ.get(SHAPES_VARIABLE, "").split(","):
        pytest.skip(f"takes minutes: {SHAPES_VARIABLE}={shape} runs it")
    measured = await measure_memory(synthetic_model(shape), threads=None, progress=print)
    assert measured.deviation == pytest.approx(0, abs=TOLERANCE)
