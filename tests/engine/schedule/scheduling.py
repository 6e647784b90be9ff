"""An EngineCore over fakes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from edge_llama.engine.kv.kv_cache import KVCache
from edge_llama.engine.kv.prefix_cache import PrefixCache
from edge_llama.engine.kv.radix_prefix_cache import RadixPrefixCache
from edge_llama.engine.kv.stream_kv_cache import StreamKVCache
from edge_llama.engine.kv.stream_prefix_cache import StreamPrefixCache
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache
from edge_llama.engine.protocol.output import Output
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest, ServiceTier
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.schedule.core import EngineCore
from edge_llama.engine.schedule.cost_table import CostTable
from edge_llama.engine.schedule.pace import Pace
from edge_llama.engine.schedule.scheduler import Scheduler
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.side.prefill import SidePrefill
from edge_llama.settings.engine import FEW_SCORED_TOKENS
from tests.engine.schedule.fake_runner import EOG, FakeMemory, FakeRunner, FakeStreams, next_token


class FixedPace(Pace):
    """So many tokens of prompts beside those that decode."""

    def __init__(self, batch_size: int, busy_prefill: int) -> None:
        super().__init__(CostTable(), batch_size)
        self._most = batch_size
        self._busy_prefill = busy_prefill

    def step_size(self, decoding: int, depth: int) -> int:
        return min(self._most, decoding + self._busy_prefill) if decoding else self._most


class Engine:
    """An EngineCore over fakes."""

    def __init__(
        self,
        *,
        n_cells: int = 200,
        parallel: int = 2,
        batch_size: int = 16,
        busy_prefill: int = 4,
        cached: int = 3,
        streams: bool = False,
        scored_tokens: int = FEW_SCORED_TOKENS,
        memory: FakeMemory | None = None,
        pace: Pace | None = None,
        make_side: Callable[[KVCache], SidePrefill] | None = None,
    ) -> None:
        self.now = 0.0
        self.memory = memory or (FakeStreams() if streams else FakeMemory())
        self.kv, self.prefixes = self.caches(n_cells, parallel, cached, streams)
        self.scheduler = Scheduler(
            self.kv,
            self.prefixes,
            eog_tokens={EOG},
            parallel=parallel,
            pace=pace or FixedPace(batch_size, busy_prefill),
            scored_tokens=scored_tokens,
            side=make_side(self.kv) if make_side else None,
            clock=lambda: self.now,
        )
        self.runner = FakeRunner(self.memory)
        self.core = EngineCore(self.scheduler, self.runner, lambda token: bytes([token]))
        self.ids = itertools.count()

    def caches(
        self, n_cells: int, parallel: int, cached: int, streams: bool
    ) -> tuple[KVCache, PrefixCache]:
        if streams:
            kv = StreamKVCache(self.memory, n_cells * parallel, parallel)
            return kv, StreamPrefixCache(kv, cached)
        unified = UnifiedKVCache(self.memory, n_cells, parallel + cached)
        return unified, RadixPrefixCache(unified, cached)

    def add(
        self,
        prompt: list[int],
        max_tokens: int = 5,
        n: int = 1,
        tier: ServiceTier = ServiceTier.DEFAULT,
        domain: str = "",
        caller: str = "",
        scored: bool = False,
        progress: bool = False,
    ) -> list[Sequence]:
        id = next(self.ids)
        options = GenerationOptions(
            tier=tier,
            cache_domain=domain,
            caller=caller,
            prompt_logprobs=0 if scored else None,
            progress=progress,
        )
        sequences = [
            Sequence(
                id=id,
                index=i,
                request=GenerationRequest(prompt=(), options=options),
                token_ids=list(prompt),
                num_prompt=len(prompt),
                max_length=len(prompt) + max_tokens,
                sampling=SamplingParams(),
                arrived=self.now,
            )
            for i in range(n)
        ]
        self.core.add(sequences)
        return sequences

    @property
    def n_used(self) -> int:
        return self.kv.n_cells - self.kv.n_free

    def matched(self, prompt: list[int]) -> int:
        match = self.prefixes.match(np.array(prompt, np.int32))
        return match.length if match else 0

    def step(self) -> list[Output]:
        outputs = self.core.step()
        self.scheduler.check_integrity()
        return outputs

    def finish(self, limit: int = 1000) -> list[Output]:
        outputs: list[Output] = []
        while self.core.has_work:
            outputs += self.step()
            limit -= 1
            assert limit, "the scheduler makes no progress"
        return outputs


def expected(prompt: list[int], max_tokens: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(max_tokens):
        tokens.append(next_token(tokens))
    return tokens
