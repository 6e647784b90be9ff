"""Settings: frozen, composed, validated once."""

from __future__ import annotations

import os
from dataclasses import dataclass

from edge_llama.errors import SettingsError

MIN_CTX_SIZE = 64
DEFAULT_CTX_SIZE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How one model is run.

    Attributes:
        model: path of a GGUF file.
        ctx_size: tokens that fit into the KV cache, shared by all running requests, and the
            longest single one; None takes the model's own, at most `DEFAULT_CTX_SIZE`.
        parallel: requests that run at the same time; others wait.
        threads: threads of a decode step; None takes the CPUs this process may use.
        threads_batch: threads of a prefill step; None takes `threads`.
        batch_size: most tokens in one step.
        busy_prefill: most prompt tokens in one step while a request is decoding, so that a long
            prompt does not stop running streams.
        cached_sequences: most finished requests whose KV is kept for prompts that begin alike.
        flash_attention: None chooses: off on a CPU, where llama.cpp's is slow to decode.
        repack: let llama.cpp rearrange weights at load for this CPU (faster decode, slower
            prefill and load, weights in memory twice).
        gpu_layers: layers on the GPU; -1 is all, which without one (Metal) means none.

    Raises:
        SettingsError: a number is out of range.
    """

    model: str
    ctx_size: int | None = None
    parallel: int = 4
    threads: int | None = None
    threads_batch: int | None = None
    batch_size: int = 512
    busy_prefill: int = 64
    cached_sequences: int = 32
    flash_attention: bool | None = None
    repack: bool = False
    gpu_layers: int = -1

    def __post_init__(self) -> None:
        if self.ctx_size is not None:
            _in_range("--ctx-size", self.ctx_size, MIN_CTX_SIZE, 1 << 24)
        _in_range("--parallel", self.parallel, 1, 64)
        if self.threads is not None:
            _in_range("--threads", self.threads, 1, 512)
        if self.threads_batch is not None:
            _in_range("--threads-batch", self.threads_batch, 1, 512)
        _in_range("--batch-size", self.batch_size, self.parallel + 1, 8192)
        _in_range("busy_prefill", self.busy_prefill, 1, 8192)
        _in_range("--cached-sequences", self.cached_sequences, 0, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the HTTP server behaves.

    Attributes:
        host: address to listen on.
        port: 0 picks a free port.
        api_key: when set, every route but /health wants it as a Bearer token.
        max_n: most choices of one request.
        max_body_bytes: largest request body; reading it holds up all other requests.
        keep_alive_seconds: silence on a stream after which a newline is sent.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_n: int = 8
    max_body_bytes: int = 2 * 1024 * 1024
    keep_alive_seconds: float = 10.0

    def __post_init__(self) -> None:
        _in_range("--port", self.port, 0, 65535)
        if self.api_key is not None:
            _check_api_key(self.api_key.strip())


def _check_api_key(key: str) -> None:
    if not key:
        raise SettingsError("--api-key is empty. Give a key, or leave the option out.")
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "--api-key has characters that a header cannot carry. Take a key of ASCII letters, "
            "digits and signs."
        )


def usable_cpus() -> int:
    """CPUs this process may run on: the affinity mask where the OS has one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} must be between {low} and {high}, not {value}.")
