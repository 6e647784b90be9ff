"""What llama.cpp was built for."""

from __future__ import annotations

import llama_cpp


def init_backend() -> None:
    """Start llama.cpp's backend. Call once per process."""
    llama_cpp.llama_backend_init()


def has_gpu() -> bool:
    return bool(llama_cpp.llama_supports_gpu_offload())


def version() -> str:
    """The release of llama-cpp-python, which tells that of llama.cpp."""
    return str(llama_cpp.__version__)


def system_info() -> str:
    """Backends and the instruction sets they were built for, e.g. `CPU : AVX = 1 | FMA = 1 | `."""
    info: bytes = llama_cpp.llama_print_system_info()
    return info.decode("utf-8", errors="replace")
