from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from edge_llama.api.http.heap import give_back_large_blocks

PROGRAM = """
import psutil
from edge_llama.api.http.heap import give_back_large_blocks

def own():
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared

{call}
bytearray(2_000_000)
before = own()
blocks = [bytearray(b"x" * 1_000_000) for _ in range(50)]
above = [bytearray(2_000) for _ in range(1_000)]
del blocks
print(own() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's")
def test_large_blocks_go_back_although_small_ones_lie_above_them() -> None:
    program = PROGRAM.format(call="give_back_large_blocks()")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(ran.stdout) < 10_000_000


class WithoutOptions:
    """A C library that does not know what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> None:
        self.asked.append(name)
        raise AttributeError(name)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    library = WithoutOptions()
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    monkeypatch.setattr("sys.platform", "linux")
    give_back_large_blocks()
    assert library.asked == ["mallopt"]
