from __future__ import annotations

from edge_llama.machine.bandwidth import read_bandwidth


def test_it_is_that_of_a_memory() -> None:
    assert 1e8 < read_bandwidth(1) < 1e13
