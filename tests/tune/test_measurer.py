"""With real child processes."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.tune import measurer as module
from edge_llama.tune.measurement import Rate
from edge_llama.tune.measurer import ChildMeasurer, RuledOut
from edge_llama.tune.workload import Workload, whole_workload

ONE_THREAD = Candidate(
    flash_attention=False, kv_type="f16", threads=1, threads_batch=1, micro_batch=256
)
LIMIT = 60.0


def test_a_tiny_model_is_measured(tiny_model: Path) -> None:
    workload = replace(whole_workload(1536, together=False), sizes=(2, 64), sequences=2)
    measurement = ChildMeasurer(str(tiny_model)).measure(ONE_THREAD, workload, LIMIT)
    figures = measurement.figures()
    assert figures.keys() == {
        *(Rate("decode", depth) for depth in (0, 1024)),
        *(Rate("prefill", depth) for depth in (0, 1024)),
        Rate("together", 1536),
        Rate("beside", 1536),
    }
    assert min(figures.values()) > 0
    assert {(cost.size, cost.depth) for cost in measurement.costs()} >= {(1, 1), (64, 1088)}


def test_a_quantized_cache_is_measured(tiny_model: Path) -> None:
    candidate = replace(ONE_THREAD, flash_attention=True, kv_type="q8_0")
    measurement = ChildMeasurer(str(tiny_model)).measure(candidate, Workload(decode=(700,)), LIMIT)
    assert measurement.figures().keys() == {Rate("decode", 700)}


@pytest.mark.parametrize("candidate", [ONE_THREAD, replace(ONE_THREAD, mmap=False)])
def test_streams_are_measured_where_several_requests_are(
    tiny_model: Path, candidate: Candidate
) -> None:
    streams = replace(candidate, kv_layout="streams")
    workload = Workload(decode=(0,), sequences=3)
    measurement = ChildMeasurer(str(tiny_model)).measure(streams, workload, LIMIT)
    assert measurement.figures().keys() == {
        Rate("decode", 0),
        Rate("together", 3 * 768),
        Rate("beside", 3 * 768),
    }


def test_what_takes_too_long_is_ruled_out(tiny_model: Path) -> None:
    with pytest.raises(RuledOut, match="it took longer than 0 s"):
        ChildMeasurer(str(tiny_model)).measure(ONE_THREAD, Workload(decode=(0,)), 0.01)


def test_a_model_that_cannot_be_loaded_is_ruled_out(tmp_path: Path) -> None:
    with pytest.raises(RuledOut, match=r"no\.gguf cannot be loaded"):
        ChildMeasurer(str(tmp_path / "no.gguf")).measure(ONE_THREAD, Workload(), LIMIT)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGILL, "illegal instruction"), (signal.SIGABRT, "signal 6")]
)
def test_a_crash_is_ruled_out(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, said: str
) -> None:
    command = ["python", "-c", f"import os; os.kill(os.getpid(), {number.value})"]
    monkeypatch.setattr(module, "module_command", lambda _: command)
    with pytest.raises(RuledOut, match=said):
        ChildMeasurer("m.gguf").measure(ONE_THREAD, Workload(), LIMIT)
