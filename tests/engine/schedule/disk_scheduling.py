"""An EngineCore over fakes with a prefix cache on disk."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from edge_llama.engine.binding import DecodeStatus
from edge_llama.engine.blocks.model_hash import model_files
from edge_llama.engine.blocks.store import BlockStore
from edge_llama.engine.kv.kv_cache import ByteArray, KVCache
from edge_llama.engine.kv.prefix_cache import PrefixCache
from edge_llama.engine.kv.radix_prefix_cache import RadixPrefixCache
from edge_llama.engine.kv.stream_kv_cache import StreamKVCache
from edge_llama.engine.kv.stream_prefix_cache import StreamPrefixCache
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.schedule.core import EngineCore
from edge_llama.engine.schedule.cost_table import CostTable
from edge_llama.engine.schedule.disk_cache import DiskCache
from edge_llama.engine.schedule.pace import Pace
from edge_llama.engine.schedule.scheduler import Scheduler
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.span import Sampled, Span
from edge_llama.settings.engine import CacheSettings
from tests.effort import PATIENCE
from tests.engine.schedule.fake_runner import EOG, HOLE, FakeMemory, FakeRunner, FakeStreams

BLOCK = 8
N_CELLS = 192
PARALLEL = 2


class RangeMemory(FakeMemory):
    """A unified cache through whose last sequence id ranges come and go."""

    def __init__(self, scratch: int) -> None:
        super().__init__()
        self._scratch = scratch

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        if target == self._scratch:
            assert not self.tokens.get(target), "the scratch sequence was not empty"
            assert HOLE not in self.tokens[source][start:end]
            self.tokens[target] = [HOLE] * start + self.tokens[source][start:end]
        else:
            super().copy(source, target, start, end)


class LazyStreams(FakeStreams):
    """Streams whose copies are done at the next decode, and not before something is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = False

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        super().copy(source, target, start, end)
        self.pending = True

    def save_sequence(self, seq_id: int, into: ByteArray | None = None) -> ByteArray:
        assert not self.pending, "saved before a copy was done"
        return super().save_sequence(seq_id, into)

    def restore_sequence(self, seq_id: int, state: ByteArray) -> bool:
        assert not self.pending, "loaded before a copy was done"
        return super().restore_sequence(seq_id, state)


class SlowPace(Pace):
    """Reading is always sooner than computing."""

    def token_seconds(self, depth: int) -> float | None:
        return 10.0


class Runner(FakeRunner):
    def run(self, spans: list[Span]) -> tuple[DecodeStatus, list[Sampled]]:
        memory = self._memory
        if isinstance(memory, LazyStreams):
            memory.pending = False
        return super().run(spans)


class Engine:
    """An EngineCore over fakes, with a folder that outlives it."""

    def __init__(self, root: Path, *, streams: bool, cached: int = 2, larger: bool = True) -> None:
        self.streams = streams
        self.kv, self.prefixes = self._caches(cached)
        pace = SlowPace(CostTable(), batch_size=16)
        model = root / "model.gguf"
        model.touch()
        self.store = BlockStore(
            CacheSettings(folder=str(root), max_bytes=1 << 30),
            model_files(model),
            label="fake",
            layout=f"streams={streams}",
            block_size=self.kv.block_size,
            token_bytes=64,
            on_progress=lambda: None,
        )
        self.scheduler = Scheduler(
            self.kv,
            self.prefixes,
            eog_tokens={EOG},
            parallel=PARALLEL,
            pace=pace,
            disk=DiskCache(self.store, self.kv, pace, larger=larger),
        )
        self.runner = Runner(self.memory)
        self.core = EngineCore(self.scheduler, self.runner, lambda token: bytes([token]))
        self.ids = itertools.count()
        while not self.store.can_write:
            time.sleep(0.001)

    def _caches(self, cached: int) -> tuple[KVCache, PrefixCache]:
        self.memory: FakeMemory
        if self.streams:
            self.memory = LazyStreams()
            streams = StreamKVCache(self.memory, N_CELLS * PARALLEL, PARALLEL)
            return streams, StreamPrefixCache(streams, cached)
        self.memory = RangeMemory(PARALLEL + cached)
        unified = UnifiedKVCache(self.memory, N_CELLS, PARALLEL + cached)
        unified.block_size = BLOCK
        return unified, RadixPrefixCache(unified, cached)

    def add(self, prompt: list[int], max_tokens: int = 3, domain: str = "") -> Sequence:
        sequence = Sequence(
            id=next(self.ids),
            index=0,
            request=GenerationRequest(prompt=(), options=GenerationOptions(cache_domain=domain)),
            token_ids=list(prompt),
            num_prompt=len(prompt),
            max_length=len(prompt) + max_tokens,
            sampling=SamplingParams(),
        )
        self.core.add([sequence])
        return sequence

    def step(self) -> None:
        self.core.step()
        self.scheduler.check_integrity()
        if self.core.idle and self.core.has_work:
            time.sleep(0.0005)

    def finish(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.core.has_work:
            self.step()
            assert time.monotonic() < deadline, "the scheduler makes no progress"

    def ask(self, prompt: list[int], domain: str = "") -> Sequence:
        sequence = self.add(prompt, domain=domain)
        self.finish()
        return sequence

    def settle(self) -> None:
        """Have all written that there is."""
        deadline = time.monotonic() + PATIENCE
        while self._n_unsaved():
            if not self.kv.settled:
                return
            self.step()
            assert time.monotonic() < deadline, "not all is written"
            time.sleep(0.0005)

    def close(self) -> None:
        self.core.save_all(5)

    def _n_unsaved(self) -> int:
        disk = self.scheduler.stats().disk
        assert disk is not None
        return disk.unsaved


def restarted(engine: Engine, root: Path) -> Engine:
    engine.close()
    return Engine(root, streams=engine.streams)
