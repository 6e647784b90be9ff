"""Candidate: one way to run a model on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_llama.settings.engine import EngineSettings, KVLayout, KVType
from edge_llama.weights.memory.memory_plan import MemoryPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The settings that are measured against each other.

    Attributes:
        flash_attention: use llama.cpp's fused attention.
        kv_type: how keys and values are stored; q8_0 needs flash attention.
        kv_layout: what requests that run at the same time share of the KV cache.
        repack: rearrange the weights for this CPU at load.
        mmap: map the file instead of reading it at load.
        threads: threads of a step that only generates.
        threads_batch: threads of a step that reads a prompt.
        micro_batch: most tokens that are computed at once.
    """

    flash_attention: bool
    kv_type: KVType
    kv_layout: KVLayout = "unified"
    repack: bool = False
    mmap: bool = True
    threads: int
    threads_batch: int
    micro_batch: int

    @classmethod
    def of(cls, settings: EngineSettings) -> Candidate:
        """What `apply` gave settings, and what became of it."""
        assert settings.threads is not None
        assert settings.flash_attention is not None
        assert settings.kv_type is not None
        assert settings.kv_layout is not None
        return cls(
            flash_attention=settings.flash_attention,
            kv_type=settings.kv_type,
            kv_layout=settings.kv_layout,
            repack=settings.repack,
            mmap=settings.mmap,
            threads=settings.threads,
            threads_batch=settings.threads_batch or settings.threads,
            micro_batch=settings.micro_batch,
        )

    def apply(self, settings: EngineSettings) -> EngineSettings:
        """The settings with these, but for threads and what of the KV cache they have already."""
        threads, threads_batch = settings.threads, settings.threads_batch
        if threads is None:
            threads, threads_batch = self.threads, threads_batch or self.threads_batch
        kv_type = settings.kv_type or self.kv_type
        # What was measured with another type says nothing about flash attention with this one.
        flash_attention = self.flash_attention if kv_type == self.kv_type else kv_type != "f16"
        return replace(
            settings,
            threads=threads,
            threads_batch=threads_batch,
            micro_batch=self.micro_batch,
            kv_type=kv_type,
            kv_layout=settings.kv_layout or self.kv_layout,
            flash_attention=flash_attention,
            repack=self.repack,
            mmap=self.mmap,
        )

    def memory(self, plan: MemoryPlan) -> int:
        """Bytes that the model takes, with the context of `plan`."""
        own = plan.changed(
            kv_type=self.kv_type,
            kv_layout=self.kv_layout,
            micro_batch=self.micro_batch,
            flash_attention=self.flash_attention,
            repack=self.repack,
        )
        return own.total

    def changes(self, other: Candidate) -> str:
        """What is different from `other`, in words; empty if nothing is."""
        theirs = other._parts()
        return ", ".join(part for part in self._parts() if part not in theirs)

    def __str__(self) -> str:
        return ", ".join(self._parts())

    def _parts(self) -> list[str]:
        threads = f"{self.threads} threads"
        if self.threads_batch != self.threads:
            threads = f"{self.threads} threads, {self.threads_batch} for prompts"
        return [
            f"flash attention {'on' if self.flash_attention else 'off'}",
            f"KV cache {self.kv_type}",
            f"KV layout {self.kv_layout}",
            f"weights {'repacked' if self.repack else 'as they are'}",
            f"mmap {'on' if self.mmap else 'off'}",
            threads,
            f"micro-batch {self.micro_batch}",
        ]
