from __future__ import annotations

from edge_llama.engine.client.backoff import HOLD, Backoff


def test_pauses_double_and_then_it_is_held() -> None:
    backoff = Backoff()
    assert [backoff.crashed(1) for _ in range(7)] == [0.5, 1, 2, 4, HOLD, HOLD, HOLD]
    assert backoff.holds


def test_a_long_run_makes_the_next_crash_the_first() -> None:
    backoff = Backoff()
    for _ in range(6):
        backoff.crashed(1)
    assert backoff.crashed(3600) == 0.5
    assert not backoff.holds
