from __future__ import annotations

import pytest

from edge_llama.engine.client.process import describe_exit


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (1, "ended with code 1"),
        (-9, "signal 9 (Killed"),
        (-6, "signal 6 (Abort"),
        (-40, "signal 40"),
        (-4, "built for another CPU"),
        (0xC000001D, "built for another CPU"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, says: str) -> None:
    assert says in describe_exit(code)
