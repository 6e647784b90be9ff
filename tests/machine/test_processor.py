from __future__ import annotations

import platform

from edge_llama.machine.processor import cpu_name
from tests.machine.fake_linux import FakeLinux


def test_linux(linux: FakeLinux) -> None:
    linux.write("proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Fast CPU 9000")
    assert cpu_name(platform="linux", root=linux.root) == "Fast CPU 9000"


def test_linux_on_arm_does_not_tell(linux: FakeLinux) -> None:
    linux.write("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41")
    name = cpu_name(platform="linux", root=linux.root)
    assert name in (platform.processor(), platform.machine())


def test_macos() -> None:
    values = {"machdep.cpu.brand_string": b"Apple M4\0"}
    assert cpu_name(platform="darwin", sysctl=values.get) == "Apple M4"


def test_this_machine() -> None:
    assert cpu_name()
