"""The scheduler with a prefix cache on disk, over fakes: what is restored is what was computed."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from edge_llama.engine.binding import DecodeStatus
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.engine.blocks.reader import BlockReader
from edge_llama.engine.kv.kv_cache import ByteArray
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.sequence import Sequence
from tests.effort import PATIENCE
from tests.engine.schedule.disk_scheduling import BLOCK, Engine, SlowPace, restarted
from tests.engine.schedule.fake_runner import FakeMemory, next_token


@pytest.fixture(params=[False, True], ids=["unified", "streams"])
def streams(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@functools.cache
def words(n: int, seed: int = 0) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(1, 50, n)]


def test_a_prompt_is_restored_after_a_restart(tmp_path: Path, streams: bool) -> None:
    engine = Engine(tmp_path, streams=streams)
    cold = engine.ask(words(45))
    assert cold.num_cached == 0
    engine = restarted(engine, tmp_path)
    again = engine.ask(words(45))
    assert again.num_cached == 44
    assert again.token_ids == cold.token_ids
    stats = engine.scheduler.stats()
    assert stats.cached_tokens == 44
    assert stats.prompt_tokens == 1
    assert stats.disk is not None
    assert stats.disk.hit_tokens == 44
    engine.close()


def test_what_is_resident_is_not_read(tmp_path: Path, streams: bool) -> None:
    engine = Engine(tmp_path, streams=streams)
    engine.ask(words(45))
    engine.settle()
    folder = BlockFolder(tmp_path, 1 << 30)
    for entry in folder.entries():
        os.utime(entry.path, (0, 0))
    assert engine.ask(words(45)).num_cached == 44
    stats = engine.scheduler.stats().disk
    assert stats is not None
    assert stats.blocks_read == 0
    until(lambda: all(entry.used for entry in folder.entries()))
    engine.close()


def test_what_can_be_read_again_does_not_stay_beside_others(tmp_path: Path) -> None:
    engine = Engine(tmp_path, streams=False)
    cold = engine.ask(words(45))
    engine.settle()
    assert engine.scheduler._prefix_cache.n_idle == 47
    engine.ask(words(20, seed=1))
    assert engine.scheduler._prefix_cache.n_idle <= BLOCK + 23
    again = engine.ask(words(45))
    assert (again.num_cached, again.token_ids) == (44, cold.token_ids)
    engine.close()


def test_what_a_small_disk_will_drop_stays_beside_others(tmp_path: Path) -> None:
    engine = Engine(tmp_path, streams=False, larger=False)
    engine.ask(words(45))
    engine.settle()
    engine.ask(words(20, seed=1))
    assert engine.scheduler._prefix_cache.n_idle == 47 + 22
    engine.close()


def test_preemption_costs_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path, streams=False)
    disk = engine.scheduler._disk
    assert disk is not None
    disk._token_seconds = 1e3  # steps are too short to save anything
    both = [engine.add(words(10, seed), max_tokens=100) for seed in (1, 2)]
    preempted = set()
    while engine.core.has_work:
        engine.step()
        until(lambda: not engine.store.n_writing)  # real steps take longer than writing
        disk._token_seconds = 1e3
        preempted |= {each.id for each in both if each.preempted}
    assert preempted
    for each in both:
        assert each.token_ids == expected(each.token_ids[:10], 110)
    computed = sum(len(span.tokens) for step in engine.runner.steps for span in step)
    assert computed == 2 * (10 + 99)
    engine.close()


def test_an_abort_while_reading_leaves_nothing_behind(tmp_path: Path, streams: bool) -> None:
    engine = restarted(_asked(tmp_path, streams), tmp_path)
    sequence = engine.add(words(45))
    engine.step()
    engine.core.abort(sequence.id)
    assert sequence.finish_reason is FinishReason.ABORT
    assert not engine.core.has_work
    assert engine.ask(words(45)).finish_reason is FinishReason.LENGTH
    engine.close()


def test_a_step_that_fails_while_another_reads(tmp_path: Path, streams: bool) -> None:
    engine = restarted(_asked(tmp_path, streams), tmp_path)
    engine.runner.statuses = [DecodeStatus.ABORTED, DecodeStatus.OK, DecodeStatus.ABORTED]
    both = engine.add(words(20, seed=5)), engine.add(words(45))
    engine.finish()
    assert all(sequence.finish_reason is FinishReason.LENGTH for sequence in both)
    engine.close()


def test_state_that_llama_cpp_refuses_is_computed(
    tmp_path: Path, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = restarted(_asked(tmp_path, streams), tmp_path)
    monkeypatch.setattr(engine.memory, "restore_sequence", _refuse_and_clear(engine.memory))
    sequence = engine.ask(words(45))
    assert sequence.num_cached == 0
    assert sequence.finish_reason is FinishReason.LENGTH
    engine.close()


def test_a_disk_that_hangs_is_not_waited_for(
    tmp_path: Path, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = restarted(_asked(tmp_path, streams), tmp_path)
    answer = threading.Event()
    monkeypatch.setattr(BlockReader, "read", lambda *_: answer.wait())
    monkeypatch.setattr(SlowPace, "token_seconds", lambda *_: 0.02)
    assert engine.ask(words(45)).num_cached == 0
    stats = engine.scheduler.stats().disk
    answer.set()
    assert stats is not None
    assert stats.slow == 1


def test_domains_are_apart(tmp_path: Path, streams: bool) -> None:
    engine = Engine(tmp_path, streams=streams)
    engine.ask(words(45), domain="a")
    engine = restarted(engine, tmp_path)
    assert engine.ask(words(45), domain="b").num_cached == 0
    assert engine.ask(words(45), domain="a").num_cached == 44
    engine.close()


def test_nothing_is_saved_in_steps_that_are_too_short_for_it(tmp_path: Path) -> None:
    engine = Engine(tmp_path, streams=False)
    disk = engine.scheduler._disk
    assert disk is not None
    tokens = np.asarray(words(16), np.int32)
    disk._token_seconds = 1e-3
    disk.offer(tokens, 0, "")
    assert disk.next_unsaved(0.05, idle=False) is None
    block = disk.next_unsaved(0.5, idle=False)
    assert block is not None
    assert (block.start, len(block.tokens)) == (0, 8)
    assert disk.next_unsaved(0.0, idle=True) is not None
    engine.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def _asked(root: Path, streams: bool) -> Engine:
    engine = Engine(root, streams=streams)
    engine.ask(words(45))
    return engine


def _refuse_and_clear(memory: FakeMemory) -> object:
    def refuse(seq_id: int, _state: ByteArray) -> bool:
        memory.tokens[seq_id] = []
        return False

    return refuse


class DiskMachine(RuleBasedStateMachine):
    """Whatever comes together, FakeRunner sees that each sequence has its own KV."""

    streams = False

    @initialize()
    def begin(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self.root = Path(self._temporary.name)
        self.engine = Engine(self.root, streams=self.streams)
        self.sequences: list[Sequence] = []

    @rule(
        length=st.integers(1, 60),
        split=st.integers(0, 60),
        seed=st.integers(1, 3),
        domain=st.sampled_from(["", "x"]),
        max_tokens=st.integers(1, 12),
    )
    def add(self, length: int, split: int, seed: int, domain: str, max_tokens: int) -> None:
        prompt = words(60)[: min(split, length)] + words(60, seed)[: max(0, length - split)]
        self.sequences.append(self.engine.add(prompt, max_tokens, domain))

    @rule(n=st.integers(1, 20))
    def steps(self, n: int) -> None:
        for _ in range(n):
            self.engine.step()

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(self.sequences))
        self.engine.core.abort(sequence.id)
        self.engine.scheduler.check_integrity()

    @rule()
    def interrupt(self) -> None:
        self.engine.runner.statuses.append(DecodeStatus.ABORTED)

    @rule()
    def evict(self) -> None:
        self.engine.prefixes.clear()

    @rule()
    def restart(self) -> None:
        self._finish()
        self.engine = restarted(self.engine, self.root)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self._finish()
            self.engine.close()
            self._temporary.cleanup()

    def _finish(self) -> None:
        self.engine.runner.statuses.clear()
        self.engine.finish()
        for sequence in self.sequences:
            assert sequence.finish_reason is not None
            if sequence.finish_reason is FinishReason.LENGTH:
                prompt = sequence.token_ids[: sequence.num_prompt]
                assert sequence.token_ids == expected(prompt, len(sequence.token_ids))
            assert 0 <= (sequence.num_cached or 0) < sequence.num_prompt + 12
        self.sequences.clear()


class StreamsDiskMachine(DiskMachine):
    streams = True


def expected(prompt: list[int], length: int) -> list[int]:
    tokens = list(prompt)
    while len(tokens) < length:
        tokens.append(next_token(tokens))
    return tokens


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files by the hundred: what makes them survive a loss of power takes all the time."""
    monkeypatch.setattr("os.fsync", lambda _: None)


for machine in (DiskMachine, StreamsDiskMachine):
    machine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestDisk = DiskMachine.TestCase
TestStreamsDisk = StreamsDiskMachine.TestCase
