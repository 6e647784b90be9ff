from __future__ import annotations

from pathlib import Path

from edge_llama.machine.cgroups import control_groups
from tests.machine.fake_linux import V2, FakeLinux


def groups(linux: FakeLinux, controller: str) -> list[str]:
    return [
        path.relative_to(linux.root).as_posix() for path in control_groups(controller, linux.root)
    ]


def test_version_2_has_one_hierarchy_for_all(linux: FakeLinux) -> None:
    linux.cgroup_v2("/system.slice/edge.service")
    expected = [f"{V2}/system.slice/edge.service", f"{V2}/system.slice", V2]
    assert groups(linux, "memory") == groups(linux, "cpu") == expected


def test_version_1_has_a_hierarchy_for_each_controller(linux: FakeLinux) -> None:
    linux.cgroup_v1("/a/b")
    assert groups(linux, "memory") == [f"{V2}/memory/a/b", f"{V2}/memory/a", f"{V2}/memory"]
    assert groups(linux, "cpu")[-1] == f"{V2}/cpu,cpuacct"


def test_a_controller_that_version_1_does_not_mount_is_in_version_2(linux: FakeLinux) -> None:
    linux.write("proc/self/cgroup", "5:cpu:/a\n0::/b")
    linux.write("proc/self/mountinfo", f"1 0 0:1 / /{V2}/unified rw - cgroup2 cgroup2 rw")
    assert groups(linux, "cpu") == [f"{V2}/unified/b", f"{V2}/unified"]


def test_a_container_with_its_own_namespace_is_at_the_mount(linux: FakeLinux) -> None:
    linux.cgroup_v2("/")
    assert groups(linux, "memory") == [V2]


def test_a_container_that_is_told_the_hosts_path_is_at_the_mount(linux: FakeLinux) -> None:
    linux.cgroup_v1("/docker/0123", top="/docker/0123")
    assert groups(linux, "memory") == [f"{V2}/memory"]


def test_a_group_below_what_the_mount_shows(linux: FakeLinux) -> None:
    linux.cgroup_v1("/docker/0123/worker", top="/docker/0123")
    assert groups(linux, "memory") == [f"{V2}/memory/worker", f"{V2}/memory"]


def test_a_group_outside_of_what_the_mount_shows(linux: FakeLinux) -> None:
    linux.cgroup_v1("/docker/0123", top="/kubepods/pod7")
    assert groups(linux, "memory") == [f"{V2}/memory"]


def test_no_control_groups(tmp_path: Path) -> None:
    assert control_groups("memory", tmp_path) == []
