from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.machine.memory import Memory, default_budget, read_memory
from tests.machine.fake_linux import GB, V2, FakeLinux

HOST = (64 * GB, 60 * GB)


def read(linux: FakeLinux) -> Memory:
    return read_memory(linux.root, physical=lambda: HOST, sysctl=lambda _: None)


def test_without_limits_it_is_the_machines() -> None:
    memory = read_memory(Path("nothing"), physical=lambda: HOST, sysctl=lambda _: None)
    assert memory == Memory(64 * GB, 60 * GB, None, None)
    assert memory.usable == 64 * GB


def test_a_container_of_version_2(linux: FakeLinux) -> None:
    linux.cgroup_v2("/")
    linux.write(f"{V2}/memory.max", 4 * GB)
    linux.write(f"{V2}/memory.high", "max")
    linux.write(f"{V2}/memory.current", GB)
    linux.write(f"{V2}/memory.stat", "anon 5\ninactive_file 0\nactive_file 0")
    assert read(linux) == Memory(64 * GB, 3 * GB, 4 * GB, None)
    assert read(linux).usable == 4 * GB


def test_a_container_of_version_1(linux: FakeLinux) -> None:
    linux.cgroup_v1("/docker/0123", top="/docker/0123")
    linux.write(f"{V2}/memory/memory.limit_in_bytes", 4 * GB)
    linux.write(f"{V2}/memory/memory.usage_in_bytes", 3 * GB)
    linux.write(
        f"{V2}/memory/memory.stat",
        f"inactive_file 7\nactive_file 7\ntotal_inactive_file {GB}\ntotal_active_file {GB}",
    )
    assert read(linux) == Memory(64 * GB, 3 * GB, 4 * GB, None)


def test_pages_of_files_are_available(linux: FakeLinux) -> None:
    linux.cgroup_v2("/")
    linux.write(f"{V2}/memory.max", 8 * GB)
    linux.write(f"{V2}/memory.current", 6 * GB)
    linux.write(f"{V2}/memory.stat", f"anon {GB}\ninactive_file {GB}\nactive_file {4 * GB}")
    assert read(linux).available == 7 * GB


def test_the_smallest_limit_of_the_ancestors_counts(linux: FakeLinux) -> None:
    linux.cgroup_v2("/user.slice/edge.service")
    linux.write(f"{V2}/user.slice/edge.service/memory.max", 16 * GB)
    linux.write(f"{V2}/user.slice/edge.service/memory.current", GB)
    linux.write(f"{V2}/user.slice/memory.max", 8 * GB)
    linux.write(f"{V2}/user.slice/memory.current", 5 * GB)
    assert read(linux) == Memory(64 * GB, 3 * GB, 8 * GB, None)


def test_memory_high_is_a_limit_too(linux: FakeLinux) -> None:
    linux.cgroup_v2("/")
    linux.write(f"{V2}/memory.max", 8 * GB)
    linux.write(f"{V2}/memory.high", 6 * GB)
    assert read(linux).limit == 6 * GB


@pytest.mark.parametrize("unlimited", [9223372036854771712, 128 * GB])
def test_a_limit_beyond_the_machine_is_none(linux: FakeLinux, unlimited: int) -> None:
    linux.cgroup_v1("/a")
    linux.write(f"{V2}/memory/a/memory.limit_in_bytes", unlimited)
    linux.write(f"{V2}/memory/a/memory.usage_in_bytes", 40 * GB)
    assert read(linux) == Memory(64 * GB, 60 * GB, None, None)


def test_a_group_over_its_limit_has_nothing_left(linux: FakeLinux) -> None:
    linux.cgroup_v2("/")
    linux.write(f"{V2}/memory.max", GB)
    linux.write(f"{V2}/memory.current", 2 * GB)
    assert read(linux).available == 0


@pytest.mark.parametrize(
    ("total", "wired_megabytes", "limit"),
    [
        (16 * GB, None, 10922 << 20),
        (16 * GB, 0, 10922 << 20),
        (32 * GB, 0, 21845 << 20),
        (36 * GB, 0, 27648 << 20),
        (64 * GB, 0, 49152 << 20),
        (64 * GB, 57344, 57344 << 20),
        (16 * GB, 32768, 16 * GB),
    ],
)
def test_metals_limit(total: int, wired_megabytes: int | None, limit: int) -> None:
    values = {"hw.optional.arm64": b"\1\0\0\0"}
    if wired_megabytes is not None:
        values["iogpu.wired_limit_mb"] = wired_megabytes.to_bytes(4, "little")
    memory = read_memory(Path("nothing"), physical=lambda: (total, GB), sysctl=values.get)
    assert memory.gpu_limit is not None
    assert memory.gpu_limit >> 20 == limit >> 20


@pytest.mark.parametrize(
    ("total", "available", "limit", "budget"),
    [
        (2.0, 1.6, None, 1.35),
        (8.0, 3.0, None, 2.2),
        (8.0, 7.4, None, 6.0),
        (24.0, 23.0, None, 18.0),
        (64.0, 3.9, 4.0, 3.0),
        (1.0, 0.2, None, 0.0),
    ],
)
def test_the_default_budget(
    total: float, available: float, limit: float | None, budget: float
) -> None:
    at_most = None if limit is None else int(limit * GB)
    memory = Memory(int(total * GB), int(available * GB), at_most, None)
    assert default_budget(memory) == pytest.approx(budget * GB, abs=1)


def test_the_default_budget_stays_below_metals_limit() -> None:
    assert default_budget(Memory(16 * GB, 15 * GB, None, 10 * GB)) == 10 * GB


sizes = st.integers(0, 1 << 42)


@given(sizes, sizes, st.none() | sizes, st.none() | sizes)
def test_the_default_budget_is_within_what_there_is(
    total: int, available: int, limit: int | None, gpu_limit: int | None
) -> None:
    memory = Memory(total, available, limit, gpu_limit)
    budget = default_budget(memory)
    assert 0 <= budget <= min(memory.usable, max(available, 0))
    assert gpu_limit is None or budget <= gpu_limit


def test_this_machine() -> None:
    memory = read_memory()
    assert memory.total == psutil.virtual_memory().total
    assert 0 < memory.available <= memory.usable <= memory.total
