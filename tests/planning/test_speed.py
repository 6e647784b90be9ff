from __future__ import annotations

import pytest

from edge_llama.planning import speed
from edge_llama.planning.speed import Speed, Speedometer


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (30, "fast, 30 tokens/s"),
        (15, "fast, 15 tokens/s"),
        (14.9, "steady, 15 tokens/s"),
        (5, "steady, 5 tokens/s"),
        (2.46, "slow, 2.5 tokens/s"),
    ],
)
def test_a_speed_has_a_class_and_a_number(rate: float, shown: str) -> None:
    assert str(Speed(rate)) == shown


def test_memory_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []

    def measure() -> float:
        calls.append(None)
        return 10e9

    monkeypatch.setattr(speed, "_measure", measure)
    monkeypatch.setattr(speed, "_has_gpu", lambda: False)
    speedometer = Speedometer()
    assert speedometer.speed(5_000_000_000) == Speed(2.0)
    assert speedometer.speed(1_000_000_000) == Speed(10.0)
    assert speedometer.speed(1_000_000) is None
    assert len(calls) == 1


def test_a_gpu_has_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_has_gpu", lambda: True)
    assert Speedometer().speed(5_000_000_000) is None
