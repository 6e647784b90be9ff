from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.bench.scenarios.estimate import DECODE, PREFILL, estimate, layer_counts, scaled
from edge_llama.bench.synthetic.synthetic import SHAPES, Shape, cached_path
from edge_llama.errors import SettingsError

SMALL = Shape(
    n_layer=8, n_embd=256, n_ff=256, n_head=4, n_head_kv=2, head_dim=64, n_vocab=2000, n_ctx=2048
)


def test_layers_are_scaled_and_what_is_done_once_is_not() -> None:
    once, per_layer = 0.04, 0.0085
    seconds = (once + 2 * per_layer, once + 4 * per_layer)
    assert scaled((2, 4), seconds, 32) == pytest.approx(once + 32 * per_layer)


def test_more_layers_never_take_less_time() -> None:
    assert scaled((2, 4), (0.05, 0.04), 32) == 0.05


@pytest.mark.parametrize(("layers", "few"), [(4, 2), (8, 4), (12, 4), (16, 8), (28, 12)])
def test_two_numbers_of_layers_are_measured(layers: int, few: int) -> None:
    assert layer_counts("llama-3.1-8b", layers) == (few, layers)


@pytest.mark.parametrize("layers", [-4, 0, 2, 6, 32, 64])
def test_other_numbers_are_refused(layers: int) -> None:
    with pytest.raises(SettingsError, match="--layers must be a multiple of 4 below the 32"):
        layer_counts("llama-3.1-8b", layers)


async def test_a_small_shape_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "small", SMALL)
    lines: list[str] = []
    result = await estimate("small", "Q8_0", 4, 2, lines.append, threads=1, cache_dir=tmp_path)
    assert result.title == "small Q8_0, from 2 and 4 of 8 layers"
    values = {quantity.key: row["estimate"] for quantity, row in result.figures.items()}
    assert len(values["decode"].runs) == 2
    assert values["prefill"].median > 0
    assert values["weights"].median > 1_000_000
    for count in (2, 4):
        assert cached_path("small", tmp_path, "Q8_0", count).exists()
    assert all(set(row) == {"estimate"} for row in result.figures.values())
    assert lines[-1] == "estimate: run 2 of 2"


async def test_an_estimate_is_held_against_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "small", SMALL)
    result = await estimate(
        "small", "Q4_K_M", 4, 2, lambda _: None, threads=1, cache_dir=tmp_path, check=True
    )
    assert list(result.figures[DECODE]) == ["raw", "estimate"]
    assert len(result.figures[PREFILL]["raw"].runs) == 2
