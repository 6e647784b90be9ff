from __future__ import annotations

import sys

import pytest

from edge_llama.machine.topology import (
    Core,
    linux_cores,
    macos_cores,
    read_processor_information,
    windows_cores,
)
from tests.machine.fake_linux import CPUS, FakeLinux
from tests.machine.fake_windows import windows_record


def cores(*cpus: set[int], fast: bool = True) -> list[Core]:
    return [Core(frozenset(core), fast) for core in cpus]


def test_linux_tells_which_cpus_share_a_core(linux: FakeLinux) -> None:
    linux.cores([(0, 2), (1, 3)])
    assert linux_cores(frozenset(range(4)), linux.root) == cores({0, 2}, {1, 3})
    assert linux_cores(frozenset({1, 2}), linux.root) == cores({1}, {2})


@pytest.mark.parametrize(
    ("slower", "fast"), [(1024, True), (780, True), (620, True), (523, False), (325, False)]
)
def test_linux_tells_what_a_core_can_do(linux: FakeLinux, slower: int, fast: bool) -> None:
    linux.write(f"{CPUS}/cpu0/cpu_capacity", 1024)
    linux.write(f"{CPUS}/cpu1/cpu_capacity", slower)
    assert [core.fast for core in linux_cores(frozenset({0, 1}), linux.root)] == [True, fast]


def test_windows_tells_classes_and_groups() -> None:
    information = b"".join(
        [
            windows_record(0b11, efficiency_class=1),
            windows_record(0b11, relationship=3),
            windows_record(0b100, efficiency_class=0),
            windows_record(0b1, group=1, efficiency_class=1),
        ]
    )
    assert windows_cores(information) == [
        *cores({0, 1}),
        *cores({2}, fast=False),
        *cores({64}),
    ]


def test_windows_with_one_kind_of_core() -> None:
    information = windows_record(0b01) + windows_record(0b10)
    assert windows_cores(information) == cores({0}, {1})


def test_macos_puts_the_performance_cores_first() -> None:
    values = {"hw.physicalcpu": b"\3", "hw.logicalcpu": b"\3", "hw.perflevel0.physicalcpu": b"\2"}
    assert macos_cores(values.get) == [*cores({0}, {1}), *cores({2}, fast=False)]


@pytest.mark.skipif(sys.platform != "win32", reason="Windows' own")
def test_windows_fills_in_its_cores() -> None:
    assert windows_cores(read_processor_information())
