from __future__ import annotations

import os
import sys

import pytest

from edge_llama.machine.sysctl import read_sysctl, sysctl_int, sysctl_text


@pytest.mark.skipif(sys.platform != "darwin", reason="macOS's own")
def test_macos() -> None:
    assert sysctl_int(read_sysctl, "hw.logicalcpu") == os.cpu_count()
    assert sysctl_text(read_sysctl, "kern.ostype") == "Darwin"
    assert read_sysctl("no.such.name") is None


@pytest.mark.skipif(sys.platform == "darwin", reason="not macOS's")
def test_elsewhere_there_is_none() -> None:
    assert read_sysctl("hw.logicalcpu") is None


def test_numbers_of_any_width() -> None:
    values = {"narrow": (7).to_bytes(4, "little"), "wide": (1 << 40).to_bytes(8, "little")}
    assert sysctl_int(values.get, "narrow") == 7
    assert sysctl_int(values.get, "wide") == 1 << 40
    assert sysctl_int(values.get, "nothing") is None
