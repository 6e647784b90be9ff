from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from edge_llama.machine.cpus import Cpus, Threads, choose_threads, read_cpus
from tests.machine.fake_linux import CPUS, V2, FakeLinux
from tests.machine.fake_windows import windows_record


def read(linux: FakeLinux, affinity: Iterable[int]) -> Cpus:
    return read_cpus(
        platform="linux", root=linux.root, affinity=lambda: frozenset(affinity), sysctl=_no_sysctl
    )


def _no_sysctl(name: str) -> bytes | None:
    raise AssertionError(f"Linux has no {name}")


def threads_of(cpus: Cpus) -> tuple[int, int]:
    threads = choose_threads(cpus)
    return threads.decode, threads.prefill


def hyperthreaded(cores: int) -> list[tuple[int, int]]:
    """Core n has the CPUs n and n + cores, as on most x86 machines."""
    return [(core, core + cores) for core in range(cores)]


def test_a_virtual_machine_of_2_cores(linux: FakeLinux) -> None:
    linux.cores([[0], [1]])
    cpus = read(linux, range(2))
    assert cpus == Cpus(logical=2, allowed=2, quota=None, physical=2, performance=2)
    assert choose_threads(cpus) == Threads(2, 2, "so few CPUs are all used")


def test_a_virtual_machine_of_2_hyperthreads_uses_both(linux: FakeLinux) -> None:
    linux.cores([[0, 1]])
    cpus = read(linux, range(2))
    assert cpus == Cpus(logical=2, allowed=2, quota=None, physical=1, performance=1)
    assert threads_of(cpus) == (2, 2)


def test_a_box_of_16_cores_with_a_quota_of_2(linux: FakeLinux) -> None:
    linux.cores(hyperthreaded(16))
    linux.cgroup_v2("/")
    linux.write(f"{V2}/cpu.max", "200000 100000")
    cpus = read(linux, range(32))
    assert cpus == Cpus(logical=32, allowed=32, quota=2.0, physical=16, performance=16)
    assert choose_threads(cpus) == Threads(2, 2, "the control group's quota is 2 CPUs")


def test_a_hybrid_cpu_of_8_performance_and_8_efficiency_cores(linux: FakeLinux) -> None:
    performance = [(cpu, cpu + 1) for cpu in range(0, 16, 2)]
    linux.cores([*performance, *((cpu,) for cpu in range(16, 24))])
    linux.write("sys/devices/cpu_core/cpus", "0-15")
    linux.write("sys/devices/cpu_atom/cpus", "16-23")
    cpus = read(linux, range(24))
    assert cpus == Cpus(logical=24, allowed=24, quota=None, physical=16, performance=8)
    assert threads_of(cpus) == (8, 16)


def test_64_cores_with_an_affinity_to_4(linux: FakeLinux) -> None:
    linux.cores(hyperthreaded(64))
    cpus = read(linux, [8, 9, 10, 11])
    assert cpus == Cpus(logical=128, allowed=4, quota=None, physical=4, performance=4)
    assert threads_of(cpus) == (4, 4)


def test_an_affinity_to_2_cores_of_2_hyperthreads(linux: FakeLinux) -> None:
    linux.cores(hyperthreaded(64))
    assert threads_of(read(linux, [8, 72, 9, 73])) == (2, 2)


def mac(**values: int) -> Cpus:
    sysctl = {
        f"hw.{name.replace('_', '.')}": value.to_bytes(4, "little")
        for name, value in values.items()
    }
    return read_cpus(platform="darwin", root=Path("nothing"), sysctl=sysctl.get)


def test_a_mac_of_4_performance_and_6_efficiency_cores() -> None:
    cpus = mac(physicalcpu=10, logicalcpu=10, perflevel0_physicalcpu=4, perflevel1_physicalcpu=6)
    assert cpus == Cpus(logical=10, allowed=10, quota=None, physical=10, performance=4)
    assert choose_threads(cpus) == Threads(
        4, 10, "the performance cores generate, all cores read prompts"
    )


def test_an_intel_mac_with_hyperthreads() -> None:
    cpus = mac(physicalcpu=6, logicalcpu=12)
    assert cpus == Cpus(logical=12, allowed=12, quota=None, physical=6, performance=6)


@pytest.mark.parametrize(("quota", "threads"), [("50000", 1), ("250000", 2), ("799999", 7)])
def test_a_quota_is_rounded_down_and_at_least_1(linux: FakeLinux, quota: str, threads: int) -> None:
    linux.cores([[cpu] for cpu in range(16)])
    linux.cgroup_v2("/")
    linux.write(f"{V2}/cpu.max", f"{quota} 100000")
    assert threads_of(read(linux, range(16))) == (threads, threads)


def test_a_quota_beyond_the_cores_changes_nothing(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(4)])
    linux.cgroup_v2("/")
    linux.write(f"{V2}/cpu.max", "1600000 100000")
    assert choose_threads(read(linux, range(4))) == Threads(4, 4, "one for each core")


def test_a_quota_between_the_kinds_of_cores_bounds_prefill(linux: FakeLinux) -> None:
    cpus = Cpus(logical=24, allowed=24, quota=10.0, physical=16, performance=8)
    assert threads_of(cpus) == (8, 10)


def test_the_smallest_quota_of_nested_groups_counts(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(8)])
    linux.cgroup_v2("/kubepods/pod7/worker")
    linux.write(f"{V2}/kubepods/pod7/worker/cpu.max", "max 100000")
    linux.write(f"{V2}/kubepods/pod7/cpu.max", "150000 50000")
    linux.write(f"{V2}/kubepods/cpu.max", "600000 100000")
    assert read(linux, range(8)).quota == 3.0


def test_a_quota_of_version_1(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(8)])
    linux.cgroup_v1("/docker/0123", top="/docker/0123")
    linux.write(f"{V2}/cpu,cpuacct/cpu.cfs_quota_us", 350000)
    linux.write(f"{V2}/cpu,cpuacct/cpu.cfs_period_us", 100000)
    cpus = read(linux, range(8))
    assert cpus.quota == 3.5
    assert threads_of(cpus) == (3, 3)


def test_no_quota_of_version_1(linux: FakeLinux) -> None:
    linux.cgroup_v1("/a")
    linux.write(f"{V2}/cpu,cpuacct/a/cpu.cfs_quota_us", -1)
    linux.write(f"{V2}/cpu,cpuacct/a/cpu.cfs_period_us", 100000)
    assert read(linux, range(8)).quota is None


def test_a_cpuset_narrower_than_the_affinity(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(8)])
    linux.cgroup_v2("/a")
    linux.write(f"{V2}/a/cpuset.cpus.effective", "2-4")
    assert read(linux, range(8)) == Cpus(8, 3, None, 3, 3)


def test_a_cpuset_of_version_1(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(8)])
    linux.cgroup_v1("/a/b")
    linux.write(f"{V2}/cpuset/a/b/cpuset.effective_cpus", "0-3")
    assert read(linux, [3, 4, 5]).allowed == 1


def test_the_cpuset_of_the_nearest_ancestor_that_has_one(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(8)])
    linux.cgroup_v2("/a/b")
    linux.write(f"{V2}/a/cpuset.cpus.effective", "0-1")
    linux.write(f"{V2}/cpuset.cpus.effective", "0-7")
    assert read(linux, range(8)).allowed == 2


def test_arm_with_small_cores(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(8)])
    for cpu, capacity in enumerate([325, 325, 325, 325, 760, 760, 760, 1024]):
        linux.write(f"{CPUS}/cpu{cpu}/cpu_capacity", capacity)
    assert read(linux, range(8)) == Cpus(8, 8, None, 8, 4)


def test_efficiency_cores_alone_are_all_there_is(linux: FakeLinux) -> None:
    linux.cores([[cpu] for cpu in range(16)])
    linux.write("sys/devices/cpu_atom/cpus", "8-15")
    assert threads_of(read(linux, range(8, 16))) == (8, 8)


def test_without_sysfs_each_cpu_is_a_core(linux: FakeLinux) -> None:
    assert read(linux, range(6)) == Cpus(6, 6, None, 6, 6)


def test_without_topology_each_cpu_is_a_core(linux: FakeLinux) -> None:
    linux.write(f"{CPUS}/online", "0-3")
    for cpu in range(4):
        linux.write(f"{CPUS}/cpu{cpu}/uevent", "")
    assert read(linux, range(4)) == Cpus(4, 4, None, 4, 4)


def test_two_sockets_count_as_one_machine(linux: FakeLinux) -> None:
    linux.cores(hyperthreaded(48))
    for cpu in range(96):
        package = int(cpu % 48 >= 24)
        linux.write(f"{CPUS}/cpu{cpu}/topology/physical_package_id", package)
    assert threads_of(read(linux, range(96))) == (48, 48)


def test_windows_counts_the_allowed_cores() -> None:
    performance = [windows_record(0b11 << 2 * core, efficiency_class=1) for core in range(4)]
    information = b"".join([*performance, windows_record(1 << 8, efficiency_class=0)])

    def read_windows(affinity: Iterable[int]) -> Cpus:
        return read_cpus(
            platform="win32",
            affinity=lambda: frozenset(affinity),
            processor_information=lambda: information,
        )

    assert read_windows(range(9)) == Cpus(9, 9, None, 5, 4)
    assert read_windows(range(4)) == Cpus(9, 4, None, 2, 2)


def test_windows_that_tells_nothing() -> None:
    cpus = read_cpus(
        platform="win32", affinity=lambda: frozenset(range(4)), processor_information=lambda: b""
    )
    assert cpus == Cpus(4, 4, None, 4, 4)


def test_this_machine() -> None:
    cpus = read_cpus()
    assert 1 <= cpus.performance <= cpus.physical <= cpus.allowed <= cpus.logical
    assert cpus.logical <= (os.cpu_count() or 1)
    threads = choose_threads(cpus)
    assert 1 <= threads.decode <= threads.prefill <= cpus.allowed
