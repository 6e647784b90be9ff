"""EngineSettings: how one model is run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from edge_llama.errors import SettingsError
from edge_llama.settings.ranges import check_range

MIN_CTX_SIZE = 64
DEFAULT_CTX_SIZE = 8192

SCORED_TOKENS = 64
FEW_SCORED_TOKENS = 32
"""Most prompt tokens of a step whose log-probabilities are told. Each needs two rows of logits, a
megabyte with Llama 3.1, so it is the smaller number where memory is short, and while others decode:
such tokens take longer than what is known of a step's cost. Of Llama 3.2 1B, 153 tokens a second
were read with 256, 138 with 128, 132 with 64 and 100 with 32; without scores, for which a quarter
more is multiplied, 218.
"""

KVType: TypeAlias = Literal["f16", "q8_0"]
KVLayout: TypeAlias = Literal["unified", "streams"]


class StepCost(NamedTuple):
    """What a step took when it was measured.

    Attributes:
        size: tokens of the step.
        depth: tokens in the KV cache after it.
        seconds: how long it took.
    """

    size: int
    depth: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Where prompts that were read are kept on disk.

    Attributes:
        folder: an absolute path; it need not exist.
        max_bytes: most bytes of all that is kept there, of all models.
        prefix: a file of `edge-llama warm --export`, which is put there first.

    Raises:
        SettingsError: there is no room at all.
    """

    folder: str
    max_bytes: int
    prefix: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str) or not isinstance(self.max_bytes, int):
            raise SettingsError("`folder` must be a string and `max_bytes` a number of bytes.")
        if self.max_bytes <= 0:
            raise SettingsError("The prefix cache on disk needs more than 0 bytes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How one model is run.

    Attributes:
        model: path of a GGUF file, also as a Path; empty in settings that `plan` completes.
        ctx_size: tokens of the longest request, and of all that run together unless `kv_layout`
            gives each as many; None takes the model's own, at most `DEFAULT_CTX_SIZE`.
        parallel: requests that run at the same time; others wait.
        threads: threads of a decode step; None chooses for the CPUs that the engine may use.
        threads_batch: threads of a prefill step; None takes `threads`, or chooses too.
        batch_size: most tokens in one step.
        max_stall: seconds that a step may take while a request is decoding, so that a long prompt
            does not stop running streams; None is the longer of 0.5 and four steps in which
            one stream decodes.
        cached_sequences: most finished requests whose KV is kept for prompts that begin alike.
        micro_batch: most tokens that llama.cpp computes at once; the memory of a step grows with
            it.
        scored_tokens: most tokens of a prompt whose log-probabilities are told by one step; each
            takes memory for a row of logits.
        kv_type: how keys and values are stored. q8_0 takes half the memory of f16 and needs flash
            attention. None is f16.
        kv_layout: `unified` lets all requests share `ctx_size` tokens, and prompts that begin alike
            the cells of their beginning. `streams` reserves `ctx_size` for each of `parallel`: many
            at once are faster, and what is reused is copied. None is `unified`.
        flash_attention: None chooses: off on a CPU, where llama.cpp's is slow to decode, unless
            `kv_type` needs it.
        repack: let llama.cpp rearrange weights at load for this CPU (faster decode, slower
            prefill and load, weights in memory twice).
        mmap: map the file instead of reading it at load: it is there at once, other processes share
            it, and the system may drop and read again what is not used.
        gpu_layers: layers on the GPU; -1 is all, which without one (Metal) means none.
        max_tokens: most tokens of output of a request, whatever it asks for; None is what fits.
        request_timeout: seconds after which a request that is not finished ends with an error; None
            never ends one.
        memory_limit: bytes that the engine may take, weights that are mapped from their file not
            counted; the kernel refuses much more, where it can. None sets no limit.
        step_costs: what steps took with these settings on this machine before; what they take now
            counts more.
        disk_cache: where the KV of prompts is kept beyond the engine's end; None keeps none.

    Raises:
        SettingsError: a number is out of range.
    """

    model: str = ""
    ctx_size: int | None = None
    parallel: int = 4
    threads: int | None = None
    threads_batch: int | None = None
    batch_size: int = 512
    max_stall: float | None = None
    cached_sequences: int = 32
    micro_batch: int = 256
    scored_tokens: int = SCORED_TOKENS
    kv_type: KVType | None = None
    kv_layout: KVLayout | None = None
    flash_attention: bool | None = None
    repack: bool = False
    mmap: bool = True
    gpu_layers: int = -1
    max_tokens: int | None = None
    request_timeout: float | None = None
    memory_limit: int | None = None
    step_costs: tuple[StepCost, ...] = ()
    disk_cache: CacheSettings | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str):
            object.__setattr__(self, "model", _path(self.model))
        if self.ctx_size is not None:
            check_range("ctx_size", self.ctx_size, MIN_CTX_SIZE, 1 << 24)
        check_range("parallel", self.parallel, 1, 64)
        if self.threads is not None:
            check_range("threads", self.threads, 1, 512)
        if self.threads_batch is not None:
            check_range("threads_batch", self.threads_batch, 1, 512)
        check_range("batch_size", self.batch_size, self.parallel + 1, 8192)
        for name in ("max_stall", "request_timeout"):
            if not isinstance(getattr(self, name), float | int | None):
                raise SettingsError(f"`{name}` must be a number of seconds.")
        if self.max_stall is not None and not 0.01 <= self.max_stall <= 3600:
            raise SettingsError(
                f"`max_stall` must be between 0.01 and 3600 seconds, not {self.max_stall:g}."
            )
        check_range("cached_sequences", self.cached_sequences, 0, 128)
        if self.max_tokens is not None:
            check_range("max_tokens", self.max_tokens, 1, 1 << 24)
        if self.request_timeout is not None and not self.request_timeout > 0:
            raise SettingsError("`request_timeout` must be more than 0 seconds.")
        check_range("micro_batch", self.micro_batch, 1, 8192)
        check_range("scored_tokens", self.scored_tokens, 1, 8192)
        if self.kv_type not in (None, *get_args(KVType)):
            raise SettingsError(f"The KV cache can be f16 or q8_0, not {self.kv_type!r}.")
        if self.kv_layout not in (None, *get_args(KVLayout)):
            raise SettingsError(
                f"The layout of the KV cache can be unified or streams, not {self.kv_layout!r}."
            )
        if not isinstance(self.disk_cache, CacheSettings | None):
            raise SettingsError("`disk_cache` must be CacheSettings, or None for no cache.")
        if self.kv_type == "q8_0" and self.flash_attention is False:
            raise SettingsError(
                f"A KV cache of {self.kv_type} needs flash attention. Switch it on, or take f16."
            )

    @property
    def n_seq_max(self) -> int:
        """Sequences that have KV at the same time: running ones, and prefixes that are kept.

        Each has cells of its own with streams, so prefixes are kept where nobody runs.
        """
        return self.parallel + (0 if self.kv_layout == "streams" else self.cached_sequences)


def _path(model: object) -> str:
    if isinstance(model, os.PathLike):
        return os.fsdecode(model)
    raise SettingsError(f"`model` must be the path of a GGUF file, not {model!r:.100}.")


CHOOSE_ALL = EngineSettings()
"""Of no model, with nothing given: what a plan starts from."""
