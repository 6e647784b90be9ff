"""Sequence: one prompt and its growing continuation."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field

import numpy as np

from edge_llama.engine.blocks.reading import Reading
from edge_llama.engine.constraint import Constraint
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.protocol.output import FinishReason, PromptRead, Timings
from edge_llama.engine.protocol.request import GenerationRequest, ServiceTier
from edge_llama.engine.protocol.sampling_params import SamplingParams


class SequenceStatus(enum.Enum):
    """
    ```
    WAITING → RUNNING → FINISHED
       ↑_________| preempted
    ```
    """

    WAITING = enum.auto()
    RUNNING = enum.auto()
    FINISHED = enum.auto()


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of one request.

    ```
    token_ids     p p p p p p o o o        p prompt, o output
    num_computed  ──────────────┘          these are in the KV cache
    ```

    Attributes:
        id: of the request.
        index: the choice.
        request: what is asked.
        token_ids: prompt and output.
        num_prompt: tokens of the prompt.
        max_length: tokens of prompt and output at which it ends.
        sampling: how the tokens of this choice are chosen.
        constraint: which tokens may follow.
        seq_id: its id in the KV cache while it runs.
        reading: what is on its way from the disk; it computes nothing while there is more.
        num_computed: tokens whose KV is in the cache.
        num_scored: tokens of the prompt whose logits were used for `prompt_logprobs`.
        num_cached: prompt tokens that were taken from the prefix cache, in memory or on disk, at
            its first admission.
        preempted: it was sent back to wait at least once.
        finish_reason: set when FINISHED.
        ahead: sequences before it in the queue, as was last told.
    """

    id: int
    index: int
    request: GenerationRequest = field(repr=False)
    token_ids: list[int]
    num_prompt: int
    max_length: int
    sampling: SamplingParams
    constraint: Constraint | None = field(default=None, repr=False)
    status: SequenceStatus = SequenceStatus.WAITING
    seq_id: int = -1
    reading: Reading | None = field(default=None, repr=False)
    num_computed: int = 0
    num_scored: int = 0
    num_cached: int | None = None
    preempted: bool = False
    finish_reason: FinishReason | None = None
    ahead: int | None = None
    arrived: float = field(default_factory=time.perf_counter)
    admitted: float = 0.0
    first_token: float = 0.0
    _array: TokenArray = field(
        default_factory=lambda: np.empty(0, np.int32), init=False, repr=False
    )

    def token_array(self) -> TokenArray:
        """`token_ids` as an array, of which only what is new since the last call is converted."""
        new = self.token_ids[len(self._array) :]
        if new:
            self._array = np.concatenate([self._array, np.asarray(new, np.int32)])
        return self._array

    @property
    def tier(self) -> ServiceTier:
        """How urgent it is."""
        return self.request.options.tier

    @property
    def caller(self) -> str:
        """Whose it is."""
        return self.request.options.caller

    @property
    def cache_domain(self) -> str:
        """It shares KV only with sequences of the same domain."""
        return self.request.options.cache_domain

    @property
    def embeds(self) -> bool:
        """Its prompt is embedded, and not continued."""
        return self.request.embeds

    @property
    def logprobs(self) -> int | None:
        """How many most likely tokens are told beside each of its own; None tells nothing."""
        return self.request.options.logprobs

    @property
    def prompt_logprobs(self) -> int | None:
        """The same for the tokens of the prompt, of which the first choice tells for all."""
        return self.request.options.prompt_logprobs if self.index == 0 else None

    @property
    def progress(self) -> bool:
        """It tells how far its prompt is read; the first choice tells for all."""
        return self.request.options.progress and self.index == 0

    @property
    def num_output(self) -> int:
        """Tokens of the output so far."""
        return len(self.token_ids) - self.num_prompt

    @property
    def num_pending(self) -> int:
        """Tokens that are known but not yet in the KV cache: 1 while decoding."""
        return len(self.token_ids) - self.num_computed

    @property
    def scoring(self) -> bool:
        """The logits of some tokens of the prompt, all but the last, are still needed."""
        return self.prompt_logprobs is not None and self.num_scored < self.num_prompt - 1

    def reusable(self) -> TokenArray:
        """The tokens whose KV may be taken from elsewhere; at least one is left to compute."""
        n = self.num_scored if self.scoring else len(self.token_ids) - 1
        if self.embeds:
            n = 0
        return self.token_array()[:n]

    @property
    def decoding(self) -> bool:
        """The whole prompt is computed and at least one token is out."""
        return self.num_pending == 1 and self.num_output > 0

    def prompt_progress(self) -> PromptRead:
        """How far its prompt is read."""
        waits = self.status is SequenceStatus.WAITING
        read = min(self.num_computed, self.num_prompt)
        return PromptRead(
            total=self.num_prompt,
            cached=self.num_cached or 0,
            # What ended gave its cells to the cache.
            processed=self.num_prompt if self.num_output else read,
            milliseconds=(time.perf_counter() - self.admitted) * 1e3 if self.admitted else 0.0,
            ahead=self.ahead if waits else None,
        )

    def timings(self) -> Timings:
        """Where the time went so far."""
        now = time.perf_counter()
        admitted = self.admitted or now
        first = self.first_token or now
        return Timings(
            queue_ms=(admitted - self.arrived) * 1e3,
            prompt_ms=(first - admitted) * 1e3,
            predicted_ms=(now - first) * 1e3,
        )
