from __future__ import annotations

import pytest

from edge_llama.machine.instructions import Comparison, built_for, compare, read_instructions
from tests.machine.fake_linux import FakeLinux

INFO = "CPU : SSE3 = 1 | SSSE3 = 1 | AVX = 1 | AVX2 = 1 | AVX512 = 0 | OPENMP = 1 | REPACK = 1 | "


def test_what_llama_cpp_was_built_for() -> None:
    assert {"SSE3", "SSSE3", "AVX", "AVX2"} <= built_for(INFO)
    assert "AVX512" not in built_for(INFO)
    assert built_for("MTL : EMBED_LIBRARY = 1 | CPU : NEON = 1 | SVE_CNT = 16 | ") == {
        "EMBED_LIBRARY",
        "NEON",
    }


def test_the_flags_of_an_x86_cpu(linux: FakeLinux) -> None:
    linux.write(
        "proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu pni ssse3 avx avx2 fma\nbugs\t: avx512f\n\n"
        "processor\t: 1\nflags\t\t: fpu",
    )
    found = read_instructions(platform="linux", machine="x86_64", root=linux.root)
    assert {name for name, present in found.items() if present} == {
        "SSE3",
        "SSSE3",
        "AVX",
        "AVX2",
        "FMA",
    }
    assert found["AVX512"] is False


def test_the_features_of_an_arm_cpu(linux: FakeLinux) -> None:
    linux.write("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd fphp asimdhp asimddp")
    found = read_instructions(platform="linux", machine="aarch64", root=linux.root)
    assert {name for name, present in found.items() if present} == {"NEON", "DOTPROD", "FP16_VA"}


def test_linux_that_tells_nothing(linux: FakeLinux) -> None:
    assert read_instructions(platform="linux", machine="x86_64", root=linux.root) == {}


def test_apple_silicon() -> None:
    values = {
        "hw.optional.AdvSIMD": b"\1\0\0\0",
        "hw.optional.arm.FEAT_DotProd": b"\1\0\0\0",
        "hw.optional.arm.FEAT_I8MM": b"\0\0\0\0",
    }
    found = read_instructions(platform="darwin", machine="arm64", sysctl=values.get)
    assert (found["NEON"], found["DOTPROD"], found["MATMUL_INT8"]) == (True, True, False)
    assert "SVE" not in found


def test_windows_tells_some() -> None:
    found = read_instructions(
        platform="win32", machine="AMD64", windows_feature=lambda number: number in (13, 36, 39)
    )
    assert found == {
        "SSE3": True,
        "SSSE3": True,
        "AVX": True,
        "AVX2": False,
        "AVX512": False,
    }


@pytest.mark.parametrize(
    ("present", "comparison"),
    [
        (
            {"SSE3": True, "SSSE3": True, "AVX": True, "AVX2": True, "AVX512": False},
            Comparison(("SSE3", "SSSE3", "AVX", "AVX2"), (), ()),
        ),
        (
            {"SSE3": True, "SSSE3": True, "AVX": True, "AVX2": False},
            Comparison(("SSE3", "SSSE3", "AVX"), ("AVX2",), ()),
        ),
        (
            {"SSE3": True, "SSSE3": True, "AVX": True, "AVX2": True, "AVX512": True},
            Comparison(("SSE3", "SSSE3", "AVX", "AVX2"), (), ("AVX512",)),
        ),
        ({}, Comparison(("SSE3", "SSSE3", "AVX", "AVX2"), (), ())),
    ],
    ids=["the same", "built for more", "built for less", "unknown"],
)
def test_comparison(present: dict[str, bool], comparison: Comparison) -> None:
    assert compare(present, built_for(INFO)) == comparison
