from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import pytest

from edge_llama.errors import EngineStartError
from edge_llama.machine.cpus import Cpus
from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.settings.engine import CHOOSE_ALL
from edge_llama.tune.measurement import Step
from edge_llama.tune.profile import PROFILES
from edge_llama.tune.tuner import EXPLORE_SECONDS, MARGIN, Tuner, Tuning
from edge_llama.weights.memory.fit import plan_memory
from tests.tune.tuning import DEFAULT, FLASH, Q8_0, SHAPE, FakeMeasurer, Speed, crash, even

CPUS = Cpus(logical=8, allowed=8, quota=None, physical=8, performance=4)
BUDGET = 24_000_000_000
CHAT = PROFILES["chat"]


def tune(measurer: FakeMeasurer, **changes: Any) -> Tuning:
    given = {"profile": CHAT, "budget": BUDGET, "cpus": CPUS, **changes}
    plan = plan_memory(SHAPE, given["budget"], replace(CHOOSE_ALL, ctx_size=8192, kv_type="f16"))
    return Tuner(measurer, plan=plan, **given).run()


def faster(by: float, wins: Any) -> Speed:
    """Step times that are divided by `by` where `wins(candidate, step)`."""
    return lambda candidate, step: even(candidate, step) / (by if wins(candidate, step) else 1)


def test_without_a_difference_the_default_stays() -> None:
    measurer = FakeMeasurer()
    tuning = tune(measurer)
    assert tuning.chosen == tuning.default
    assert tuning.default.candidate == DEFAULT
    assert tuning.default.score == 1
    assert not tuning.ruled_out
    assert not tuning.out_of_time


def test_everything_is_tried() -> None:
    measurer = FakeMeasurer()
    tune(measurer)
    tried = set(measurer.candidates)
    assert {DEFAULT, FLASH, Q8_0, replace(DEFAULT, repack=True)} <= tried
    assert {each.threads for each in tried} == {4, 8}
    assert {each.threads_batch for each in tried} == {4, 8}
    assert {each.micro_batch for each in tried} == {128, 256, 512}


def test_streams_are_tried_first_where_several_requests_count() -> None:
    measurer = FakeMeasurer(faster(1.5, lambda candidate, step: candidate.kv_layout == "streams"))
    tuning = tune(measurer, profile=PROFILES["server"])
    assert tuning.chosen.candidate == replace(DEFAULT, kv_layout="streams")
    assert [each.kv_layout for each in measurer.candidates[:4]] == [
        "unified",
        "unified",
        "streams",
        "streams",
    ]
    assert all(step.sequences == 4 for _, step in measurer.measured[1:3])


def test_streams_are_not_tried_for_one_person() -> None:
    measurer = FakeMeasurer()
    tune(measurer)
    assert {each.kv_layout for each in measurer.candidates} == {"unified"}
    assert not any(workload.sequences for _, workload in measurer.measured)


@pytest.mark.parametrize(("name", "first"), [("chat", "threads"), ("rag", "threads_batch")])
def test_what_has_more_weight_is_tried_earlier(name: str, first: str) -> None:
    measurer = FakeMeasurer()
    tune(measurer, profile=PROFILES[name])
    varied = [
        field
        for candidate in measurer.candidates
        for field in ("threads", "threads_batch", "micro_batch", "mmap")
        if getattr(candidate, field) != getattr(DEFAULT, field)
    ]
    assert varied[0] == first
    assert varied[-1] == "mmap"


def test_the_fastest_attention_is_chosen() -> None:
    deep = faster(1.8, lambda candidate, step: candidate.kv_type == "q8_0")
    tuning = tune(FakeMeasurer(deep))
    assert tuning.chosen.candidate == Q8_0
    assert tuning.chosen.score > 1.5
    assert tuning.chosen.against == DEFAULT


def test_what_wins_alone_wins_together() -> None:
    def seconds(candidate: Candidate, step: Step) -> float:
        gain = 1.5 if candidate.flash_attention else 1.0
        gain *= 1.5 if candidate.repack else 1.0
        gain *= 1.2 if step.size == 1 and candidate.threads == 8 else 1.0
        gain *= 1.2 if step.kind == "prefill" and candidate.threads_batch == 4 else 1.0
        gain *= 1.2 if step.kind == "prefill" and candidate.micro_batch == 512 else 1.0
        return even(candidate, step) / gain

    tuning = tune(FakeMeasurer(seconds))
    chosen = replace(Q8_0, repack=True, threads=8, threads_batch=4, micro_batch=512)
    assert replace(tuning.chosen.candidate, kv_type="q8_0") == chosen


@pytest.mark.parametrize("gain", [0.9, 1.0, MARGIN - 0.01])
def test_noise_is_not_chosen(gain: float) -> None:
    measurer = FakeMeasurer(faster(gain, lambda candidate, _: candidate != DEFAULT))
    tuning = tune(measurer, profile=replace(CHAT, memory=0.0))
    assert tuning.chosen.candidate == DEFAULT


def test_what_does_not_win_twice_is_not_chosen() -> None:
    seen: set[tuple[Candidate, Step]] = set()

    def once(candidate: Candidate, step: Step) -> float:
        lucky = candidate == FLASH and (candidate, step) not in seen
        seen.add((candidate, step))
        return even(candidate, step) / (3 if lucky else 1)

    tuning = tune(FakeMeasurer(once))
    assert tuning.chosen.candidate == DEFAULT
    assert tuning.default.score == 1


def test_a_crash_rules_out_only_the_candidate() -> None:
    def seconds(candidate: Candidate, step: Step) -> float:
        if candidate.repack:
            return crash()
        return even(candidate, step) / (2 if candidate.flash_attention else 1)

    tuning = tune(FakeMeasurer(seconds))
    assert tuning.chosen.candidate.flash_attention
    ((candidate, reason),) = tuning.ruled_out.items()
    assert candidate.repack
    assert "illegal instruction" in reason


def test_a_default_that_crashes_is_told() -> None:
    with pytest.raises(EngineStartError, match=r"cannot be measured: .* illegal instruction"):
        tune(FakeMeasurer(crash))


def test_repacking_is_not_tried_without_the_memory_for_it() -> None:
    measurer = FakeMeasurer(faster(3, lambda candidate, _: candidate.repack))
    tuning = tune(measurer, budget=8_000_000_000)
    assert not any(candidate.repack for candidate in measurer.candidates)
    (reason,) = tuning.ruled_out.values()
    assert "of 8.00 GB of memory" in reason


def test_a_gpu_is_not_repacked_for() -> None:
    measurer = FakeMeasurer()
    tuning = tune(measurer, gpu=True)
    assert tuning.default.candidate == FLASH
    assert not any(candidate.repack for candidate in measurer.candidates)


def test_threads_stay_within_the_quota() -> None:
    measurer = FakeMeasurer()
    tune(measurer, cpus=replace(CPUS, quota=2.5))
    counts = {n for each in measurer.candidates for n in (each.threads, each.threads_batch)}
    assert counts == {2}


def test_micro_batches_are_told_apart_only_by_longer_prompts() -> None:
    measurer = FakeMeasurer(lambda _, step: 0.02 * step.size)  # 128 tokens in 2.6 s
    tune(measurer)
    assert {candidate.micro_batch for candidate in measurer.candidates} == {256}


def test_a_slow_machine_tries_less_but_confirms() -> None:
    now = 0.0

    class Slow(FakeMeasurer):
        def measure(self, *arguments: Any) -> Any:
            nonlocal now
            now += EXPLORE_SECONDS / 2 + 1
            return super().measure(*arguments)

    measurer = Slow(faster(2, lambda candidate, _: candidate.flash_attention))
    tuning = tune(measurer, clock=lambda: now)
    assert tuning.out_of_time
    assert measurer.candidates == [DEFAULT, Q8_0, DEFAULT, Q8_0, Q8_0]
    assert tuning.chosen.candidate == Q8_0
    assert measurer.limits[1] == pytest.approx(4 * (EXPLORE_SECONDS / 2 + 1))


def test_the_cost_table_is_measured_as_it_will_run() -> None:
    tuning = tune(FakeMeasurer(faster(2, lambda candidate, _: candidate == FLASH)))
    costs = {cost.size: cost.seconds for cost in tuning.costs.costs() if cost.depth < 513}
    assert costs[64] == pytest.approx(0.16)
    assert costs[1] == pytest.approx(0.0025)
    assert {cost.depth for cost in tuning.costs.costs() if cost.size == 64} == {64, 3064}


@pytest.mark.parametrize("name", PROFILES)
def test_the_chosen_is_never_worse_than_the_default(name: str) -> None:
    def seconds(candidate: Candidate, step: Step) -> float:
        spread = zlib.crc32(repr((candidate, step)).encode()) % 1000 / 1000
        return even(candidate, step) * (0.5 + spread)

    profile = PROFILES[name]
    tuning = tune(FakeMeasurer(seconds), profile=profile)
    chosen, default = tuning.chosen, tuning.default
    theirs = default.measurement.figures()
    ratios = {k: rate / theirs[k] for k, rate in chosen.measurement.figures().items()}
    assert profile.score(ratios, chosen.memory / default.memory) >= 1
