"""The CPU's instruction sets, by llama.cpp's names, and those that llama.cpp was built for."""

from __future__ import annotations

import ctypes
import platform as os_platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_llama.machine.kernel_files import read_text
from edge_llama.machine.sysctl import Sysctl, read_sysctl, sysctl_int

# llama.cpp's name → Linux's flag in /proc/cpuinfo, macOS's sysctl name below `hw.optional`, number
# for Windows' IsProcessorFeaturePresent. None where the system does not tell. AMX is left out:
# llama.cpp uses it for rearranged weights only, which is off unless asked for.
_X86: dict[str, tuple[str, str | None, int | None]] = {
    "SSE3": ("pni", "sse3", 13),
    "SSSE3": ("ssse3", "supplementalsse3", 36),
    "AVX": ("avx", "avx1_0", 39),
    "AVX_VNNI": ("avx_vnni", None, None),
    "AVX2": ("avx2", "avx2_0", 40),
    "F16C": ("f16c", "f16c", None),
    "FMA": ("fma", "fma", None),
    "BMI2": ("bmi2", "bmi2", None),
    "AVX512": ("avx512f", "avx512f", 41),
    "AVX512_VBMI": ("avx512vbmi", "avx512vbmi", None),
    "AVX512_VNNI": ("avx512_vnni", "avx512vnni", None),
    "AVX512_BF16": ("avx512_bf16", None, None),
}
_ARM: dict[str, tuple[str, str | None, int | None]] = {
    "NEON": ("asimd", "AdvSIMD", 19),
    "DOTPROD": ("asimddp", "arm.FEAT_DotProd", 43),
    "FP16_VA": ("asimdhp", "arm.FEAT_FP16", 67),
    "MATMUL_INT8": ("i8mm", "arm.FEAT_I8MM", 66),
    "SVE": ("sve", None, 46),
    "SME": ("sme", "arm.FEAT_SME", None),
}
_ARM_MACHINES = ("aarch64", "arm64")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The CPU's instruction sets against those that llama.cpp was built for, in order of age.

    Attributes:
        used: the CPU has them, or does not tell, and llama.cpp uses them.
        missing: llama.cpp uses them and the CPU lacks them.
        unused: the CPU has them and llama.cpp does not use them.
    """

    used: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def compare(present: dict[str, bool], built_for: frozenset[str]) -> Comparison:
    """Compare what `read_instructions` found with what `built_for` read."""
    names = [name for name in (*_X86, *_ARM) if name in built_for or present.get(name)]
    return Comparison(
        used=tuple(name for name in names if name in built_for and present.get(name, True)),
        missing=tuple(name for name in names if name in built_for and not present.get(name, True)),
        unused=tuple(name for name in names if name not in built_for),
    )


def built_for(system_info: str) -> frozenset[str]:
    """The names that are on in what `llama_print_system_info` says, e.g. `CPU : AVX = 1 | …`."""
    return frozenset(re.findall(r"(\w+) = 1\b", system_info))


def read_instructions(
    *,
    platform: str = sys.platform,
    machine: str | None = None,
    root: Path = Path("/"),
    sysctl: Sysctl = read_sysctl,
    windows_feature: Callable[[int], bool] | None = None,
) -> dict[str, bool]:
    """Whether the CPU has each instruction set; those that the system does not tell are left out.

    Args:
        platform: as `sys.platform` names it.
        machine: as `platform.machine()` names the architecture.
        root: below which Linux's /proc is.
        sysctl: reads macOS's facts.
        windows_feature: asks Windows for a feature by its number.
    """
    machine = machine or os_platform.machine()
    table = _ARM if machine.lower() in _ARM_MACHINES else _X86
    if platform == "darwin":
        return {
            name: bool(sysctl_int(sysctl, f"hw.optional.{key}"))
            for name, (_, key, _) in table.items()
            if key
        }
    if platform == "win32":
        has = windows_feature or _windows_feature
        return {name: has(number) for name, (_, _, number) in table.items() if number}
    flags = _linux_flags(root)
    return {name: flag in flags for name, (flag, _, _) in table.items()} if flags else {}


def _linux_flags(root: Path) -> frozenset[str]:
    """The flags of the first CPU; those that the kernel does not support are not among them."""
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.M)
    return frozenset(line[1].split()) if line else frozenset()


def _windows_feature(number: int) -> bool:
    if sys.platform != "win32":
        return False
    return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(number))
