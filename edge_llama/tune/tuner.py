"""Tuner: which candidates are measured, and which one is chosen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge_llama.errors import EngineStartError
from edge_llama.machine.cpus import Cpus, choose_threads
from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.settings.engine import KVType
from edge_llama.tune.measurement import Measurement, Rate
from edge_llama.tune.measurer import Measurer, RuledOut
from edge_llama.tune.profile import Profile
from edge_llama.tune.workload import SIZES, Workload, longest_prompt, whole_workload
from edge_llama.units import format_size
from edge_llama.weights.memory.memory_plan import MemoryPlan, kv_types

MARGIN = 1.05
"""What a score must be at least to replace what it is held against: less may be noise."""

EXPLORE_SECONDS = 45.0
"""After these no further candidate is begun; what is best by then is still confirmed."""

LONGEST = 180.0
"""Seconds that the default may take, which reads the weights from the disk, and the steps of many
sizes.
"""

LIMIT_FACTOR = 4.0
SHORTEST_LIMIT = 30.0
"""Another candidate may take so many times the default's time, and at least so many seconds."""

MICRO_BATCHES = (128, 256, 512)
MICRO_BATCH_SECONDS = 3.0
"""Most seconds of the steps that micro-batches are told apart by."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that was measured.

    Attributes:
        memory: bytes that the model takes with it.
        score: by the profile; 1 is as good as `against`.
        against: what it was held against: the default, or for a variation of which only a part
            was measured what it varies.
    """

    candidate: Candidate
    measurement: Measurement
    memory: int
    score: float
    against: Candidate


@dataclass(frozen=True, slots=True)
class Tuning:
    """What came out.

    Attributes:
        trials: each candidate that was measured, the default first.
        ruled_out: why others could not be.
        chosen: what runs from now on; often the default.
        costs: steps of many sizes, run as chosen.
        out_of_time: not all candidates were tried.
    """

    trials: tuple[Trial, ...]
    ruled_out: dict[Candidate, str]
    chosen: Trial
    costs: Measurement
    out_of_time: bool

    @property
    def default(self) -> Trial:
        return self.trials[0]

    @property
    def whole_trials(self) -> tuple[Trial, ...]:
        """Those of which all was measured."""
        everything = self.default.measurement.figures().keys()
        return tuple(
            trial for trial in self.trials if trial.measurement.figures().keys() == everything
        )


class Tuner:
    """Changes one thing at a time: the KV cache's layout, attention with its type, repacking,
    threads and micro-batch, memory mapping; what the profile has no weight for is left out, and of
    the later ones what has most comes first. What is best then is measured once more, in turn with
    the default, and is chosen only if it is still better by `MARGIN`.

    Args:
        measurer: measures a candidate.
        profile: weighs what was measured.
        plan: how the model runs by default.
        budget: bytes that it may take.
        cpus: this machine's.
        gpu: whether the model runs on a GPU, which has no use for repacking.
        progress: called with a line for people before each measurement.
        clock: seconds.
    """

    def __init__(
        self,
        measurer: Measurer,
        profile: Profile,
        plan: MemoryPlan,
        budget: int,
        cpus: Cpus,
        *,
        gpu: bool = False,
        progress: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._measurer = measurer
        self._profile = profile
        self._plan = plan
        self._budget = budget
        self._cpus = cpus
        self._gpu = gpu
        self._progress = progress
        self._clock = clock
        self._whole = whole_workload(plan.shape.context_length, together=profile.together > 0)
        self._trials: dict[Candidate, Trial] = {}
        self._ruled_out: dict[Candidate, str] = {}
        self._limit = LONGEST
        self._deadline = math.inf
        self._out_of_time = False

    def run(self) -> Tuning:
        """Measure and choose.

        Raises:
            EngineStartError: the default cannot be measured.
        """
        began = self._clock()
        self._deadline = began + EXPLORE_SECONDS
        default = self._measure_default()
        self._limit = max(SHORTEST_LIMIT, LIMIT_FACTOR * (self._clock() - began))
        best = default.candidate
        if self._whole.sequences:
            together = Workload(sequences=self._whole.sequences)
            best = self._vary(best, [replace(best, kv_layout="streams")], together)
        best = self._vary_attention(best, default)
        if not self._gpu:
            best = self._vary(best, [replace(best, repack=True)], self._whole)
        for vary in self._by_weight():
            best = vary(best, default)
        best = self._vary(best, [replace(best, mmap=False)], Workload(decode=self._depths))
        chosen = default if best == default.candidate else self._confirm(best, default)
        costs = self._measure_costs(chosen.candidate)
        trials = tuple(self._trials.values())
        return Tuning(trials, self._ruled_out, chosen, costs, self._out_of_time)

    def _measure_default(self) -> Trial:
        threads = choose_threads(self._cpus)
        candidate = Candidate(
            flash_attention=self._plan.flash_attention or self._gpu,
            kv_type=self._plan.kv_type,
            threads=threads.decode,
            threads_batch=threads.prefill,
            micro_batch=self._plan.settings.micro_batch,
        )
        measurement = self._measure(candidate, self._whole)
        if measurement is None:
            reason = self._ruled_out[candidate]
            raise EngineStartError(f"The model cannot be measured: {reason}.")
        return self._keep(candidate, measurement, candidate, measurement)

    def _by_weight(self) -> list[Callable[[Candidate, Trial], Candidate]]:
        """What concerns only decode or only prefill, the one with more weight first."""
        decode, prefill = sum(self._profile.decode), sum(self._profile.prefill)
        weighted = (
            (decode, self._vary_threads),
            (prefill, self._vary_threads_batch),
            (prefill, self._vary_micro_batch),
        )
        ordered = sorted(weighted, key=lambda each: -each[0])
        return [vary for weight, vary in ordered if weight > 0]

    def _vary_attention(self, best: Candidate, default: Trial) -> Candidate:
        flash = [(True, kv_type) for kv_type in reversed(kv_types(self._plan.shape))]
        ways: list[tuple[bool, KVType]] = [*flash, (False, "f16")]
        others = [replace(best, flash_attention=on, kv_type=kv) for on, kv in ways]
        if best == default.candidate:
            return self._best(best, others, self._whole, default.measurement)
        return self._vary(best, others, self._whole)

    def _vary_threads(self, best: Candidate, _: Trial) -> Candidate:
        others = [replace(best, threads=n) for n in self._thread_counts()]
        return self._vary(best, others, Workload(decode=self._depths))

    def _vary_threads_batch(self, best: Candidate, _: Trial) -> Candidate:
        others = [replace(best, threads_batch=n) for n in self._thread_counts()]
        return self._vary(best, others, Workload(prefill=self._whole.prefill[:1]))

    def _thread_counts(self) -> list[int]:
        cpus = self._cpus
        most = cpus.allowed if cpus.quota is None else max(1, math.floor(cpus.quota))
        return sorted({min(n, most) for n in (cpus.performance, cpus.physical, cpus.allowed)})

    @property
    def _depths(self) -> tuple[int, ...]:
        """Where decoding is measured when only that changes."""
        return self._whole.decode[:2]

    def _vary_micro_batch(self, best: Candidate, default: Trial) -> Candidate:
        rate = default.measurement.figures()[Rate("prefill", 0)]
        prompt = longest_prompt(rate, MICRO_BATCH_SECONDS)
        # A prompt that fits into both micro-batches takes the same time with both.
        sizes = [size for size in MICRO_BATCHES if min(size, best.micro_batch) < prompt]
        reading = Workload(prefill=self._whole.prefill[:1], prefill_seconds=MICRO_BATCH_SECONDS)
        return self._vary(best, [replace(best, micro_batch=size) for size in sizes], reading)

    def _vary(
        self, best: Candidate, variations: Iterable[Candidate], workload: Workload
    ) -> Candidate:
        """As `_best`, with `best` measured again, right before what it is compared with."""
        others = [each for each in variations if each != best]
        reference = self._try(best, workload) if others else None
        return best if reference is None else self._best(best, others, workload, reference)

    def _best(
        self,
        best: Candidate,
        others: Iterable[Candidate],
        workload: Workload,
        reference: Measurement,
    ) -> Candidate:
        """The best of `others`, or `best` if none is clearly better.

        Args:
            reference: of `best`.
        """
        chosen, least = best, MARGIN
        for candidate in others:
            if candidate in self._trials:
                continue
            measurement = self._try(candidate, workload)
            if measurement is None:
                continue
            trial = self._keep(candidate, measurement, best, reference)
            if trial.score >= least:
                chosen, least = candidate, trial.score
        return chosen

    def _confirm(self, candidate: Candidate, default: Trial) -> Trial:
        """The candidate's trial if it is clearly better once more, else the default's."""
        reference = self._measure(default.candidate, self._whole)
        measurement = self._measure(candidate, self._whole)
        if reference is None or measurement is None:
            return default
        default = self._keep(default.candidate, reference, default.candidate, reference)
        trial = self._keep(candidate, measurement, default.candidate, reference)
        return trial if trial.score >= MARGIN else default

    def _measure_costs(self, chosen: Candidate) -> Measurement:
        depths = self._whole.prefill
        workload = Workload(decode=depths, prefill=depths, sizes=SIZES)
        self._limit = LONGEST
        return self._measure(chosen, workload) or Measurement(0.0, ())

    def _try(self, candidate: Candidate, workload: Workload) -> Measurement | None:
        """Measure a candidate if there is time and memory for it."""
        if self._clock() >= self._deadline:
            self._out_of_time = True
            return None
        if (memory := candidate.memory(self._plan)) > self._budget:
            self._ruled_out[candidate] = (
                f"it takes {format_size(memory)} of {format_size(self._budget)} of memory"
            )
            return None
        return self._measure(candidate, workload)

    def _measure(self, candidate: Candidate, workload: Workload) -> Measurement | None:
        """Measure a candidate; None if it is ruled out, or was before."""
        if candidate in self._ruled_out:
            return None
        self._progress(str(candidate))
        try:
            return self._measurer.measure(candidate, workload, self._limit)
        except RuledOut as reason:
            self._ruled_out[candidate] = str(reason)
            return None

    def _keep(
        self,
        candidate: Candidate,
        measurement: Measurement,
        against: Candidate,
        reference: Measurement,
    ) -> Trial:
        """Score a candidate and remember it."""
        theirs = reference.figures()
        ratios = {
            figure: rate / theirs[figure]
            for figure, rate in measurement.figures().items()
            if figure in theirs
        }
        memory = candidate.memory(self._plan)
        score = self._profile.score(ratios, memory / against.memory(self._plan))
        trial = Trial(candidate, measurement, memory, score, against)
        self._trials[candidate] = trial
        return trial
