from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from edge_llama.engine import binding
from edge_llama.engine.side.prefill import SidePrefill
from edge_llama.engine.worker import loading
from edge_llama.errors import ModelFileError
from edge_llama.machine.cpus import Cpus
from edge_llama.machine.memory import Memory
from edge_llama.settings.engine import EngineSettings

HYBRID = Cpus(logical=24, allowed=24, quota=None, physical=16, performance=8)


@pytest.mark.parametrize(
    ("threads", "threads_batch", "expected"),
    [
        (None, None, (8, 16)),
        (3, None, (3, 3)),
        (None, 5, (8, 5)),
        (3, 5, (3, 5)),
    ],
)
def test_threads_are_chosen_unless_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
    tiny_gguf: Path,
    threads: int | None,
    threads_batch: int | None,
    expected: tuple[int, int],
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(loading, "read_cpus", lambda: HYBRID)
    monkeypatch.setattr(binding, "Context", lambda model, **options: asked.update(options))
    settings = EngineSettings(
        model=str(tiny_gguf), ctx_size=256, threads=threads, threads_batch=threads_batch
    )
    model = loading.open_model(settings)
    loading.open_context(settings, model)
    model.close()
    assert (asked["threads"], asked["threads_batch"]) == expected


class Opened:
    """A model of the tests and its context, with room for one request."""

    def __init__(self, gguf: Path, threads: int) -> None:
        binding.init_backend()
        self.settings = EngineSettings(
            model=str(gguf), ctx_size=256, parallel=1, cached_sequences=0, threads=threads
        )
        self.model = loading.open_model(self.settings)
        self.context = loading.open_context(self.settings, self.model)

    def side_context(self) -> binding.Context:
        return loading.open_side_context(self.settings, self.model, self.context, 100, threads=1)

    def side_prefill(self) -> SidePrefill | None:
        kv, _ = loading.make_caches(self.settings, self.context)
        return loading.make_side_prefill(self.settings, self.model, self.context, kv, lambda: None)

    def close(self) -> None:
        self.context.close()
        self.model.close()


@pytest.mark.parametrize(("threads", "can"), [(1, False), (2, True)])
def test_one_thread_reads_nothing_beside_the_steps(
    tiny_gguf: Path, threads: int, can: bool
) -> None:
    opened = Opened(tiny_gguf, threads)
    assert (opened.side_prefill() is not None) is can
    opened.close()


def test_a_side_context_has_room_for_its_prompt_alone(tiny_gguf: Path) -> None:
    opened = Opened(tiny_gguf, 2)
    side = opened.side_context()
    assert side.n_cells == 256
    assert side.kv_layout == opened.context.kv_layout
    side.close()
    opened.close()


def test_a_side_context_is_not_made_without_memory(
    monkeypatch: pytest.MonkeyPatch, tiny_gguf: Path
) -> None:
    full = Memory(total=2**30, available=2**28, limit=None, gpu_limit=None)
    monkeypatch.setattr(loading, "read_memory", lambda: full)
    opened = Opened(tiny_gguf, 2)
    with pytest.raises(ModelFileError, match=r"it needs .* and 0 B can be had"):
        opened.side_context()
    opened.close()


def test_threads_that_are_lent_are_missing(
    monkeypatch: pytest.MonkeyPatch, tiny_gguf: Path
) -> None:
    opened = Opened(tiny_gguf, 4)
    used: list[int] = []
    monkeypatch.setattr(
        llama_cpp, "llama_set_n_threads", lambda handle, threads, batch: used.append(threads)
    )
    batch = binding.Batch(8)
    for lent in (0, 3, 4, 0):
        opened.context.lend_threads(lent)
        batch.clear()
        batch.add([1], opened.context.length(0), 0, n_outputs=1)
        opened.context.decode(batch)
    assert used == [4, 1, 1, 4]
    opened.close()
