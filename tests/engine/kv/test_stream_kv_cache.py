from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.engine.kv.stream_kv_cache import StreamKVCache
from tests.engine.schedule.fake_runner import FakeStreams


def test_extend_beyond_the_end_of_a_stream_is_a_bug() -> None:
    kv = StreamKVCache(FakeStreams(), n_cells=8, n_seq_max=2)
    with pytest.raises(AssertionError):
        kv.extend(kv.allocate(), 5)


def test_a_copy_is_cut_to_its_length_and_shares_nothing() -> None:
    memory = FakeStreams()
    kv = StreamKVCache(memory, n_cells=20, n_seq_max=2)
    source, target = kv.allocate(), kv.allocate()
    memory.tokens[source] = [1, 2, 3, 4]
    kv.extend(source, 4)
    kv.copy(source, target, 3)
    kv.free(source)
    assert memory.tokens[target] == [1, 2, 3]
    assert (kv.n_free, kv.room(target), kv.depth([target])) == (17, 7, 3)
    kv.check_integrity()


def test_sequences_are_gathered_with_the_fewest_copies() -> None:
    memory = FakeStreams()
    kv = StreamKVCache(memory, n_cells=60, n_seq_max=6)
    ids = [kv.allocate() for _ in range(6)]
    for seq_id in ids:
        memory.tokens[kv.native_id(seq_id)] = [seq_id]
        kv.extend(seq_id, 1)
    assert not kv.gather([0, 1, 3])
    assert [kv.native_id(seq_id) for seq_id in ids] == ids
    kv.free(5)
    assert kv.gather([0, 1, 3])
    assert [kv.native_id(seq_id) for seq_id in (0, 1, 3, 2, 4)] == [0, 1, 2, 5, 4]
    kv.free(4)
    assert kv.gather([0, 1, 3, 2])
    assert [kv.native_id(seq_id) for seq_id in (0, 1, 3, 2)] == [0, 1, 2, 3]


class StreamKVCacheMachine(RuleBasedStateMachine):
    """Random use against plain lists of what each sequence should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = FakeStreams()
        self.kv = StreamKVCache(self.memory, n_cells=100, n_seq_max=5)
        self.model: dict[int, list[int]] = {}
        self.next_cell = 0

    @precondition(lambda self: len(self.model) < 5)
    @rule()
    def allocate(self) -> None:
        self.model[self.kv.allocate()] = []

    @precondition(lambda self: self.model)
    @rule(data=st.data(), n=st.integers(0, 12))
    def extend(self, data: st.DataObject, n: int) -> None:
        seq_id = data.draw(st.sampled_from(sorted(self.model)))
        n = min(n, self.kv.room(seq_id))
        self.kv.extend(seq_id, n)
        fresh = list(range(self.next_cell, self.next_cell + n))
        self.next_cell += n
        self.memory.tokens.setdefault(self.kv.native_id(seq_id), []).extend(fresh)
        self.model[seq_id] += fresh

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data(), share=st.floats(0, 1))
    def copy(self, data: st.DataObject, share: float) -> None:
        source, target = data.draw(st.permutations(sorted(self.model)))[:2]
        length = int(len(self.model[source]) * share)
        self.kv.copy(source, target, length)
        if length > len(self.model[target]):
            self.model[target] = self.model[source][:length]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), share=st.floats(0, 1))
    def trim(self, data: st.DataObject, share: float) -> None:
        seq_id = data.draw(st.sampled_from(sorted(self.model)))
        length = int(len(self.model[seq_id]) * share)
        self.kv.trim(seq_id, length)
        del self.model[seq_id][length:]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        seq_id = data.draw(st.sampled_from(sorted(self.model)))
        self.kv.free(seq_id)
        del self.model[seq_id]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def gather(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sets(st.sampled_from(sorted(self.model)), min_size=1))
        gathered = self.kv.gather(chosen)
        assert gathered or len(self.model) == 5
        streams = sorted(self.kv.native_id(seq_id) for seq_id in chosen)
        if gathered:
            assert streams == list(range(streams[0], streams[0] + len(streams)))

    @invariant()
    def books_balance(self) -> None:
        self.kv.check_integrity()
        assert self.kv.n_free == 100 - sum(map(len, self.model.values()))
        held = {self.kv.native_id(seq_id): tokens for seq_id, tokens in self.model.items()}
        for stream in range(5):
            assert self.memory.tokens.get(stream, []) == held.get(stream, [])


TestStreamKVCacheMachine = StreamKVCacheMachine.TestCase
TestStreamKVCacheMachine.settings = settings(max_examples=60, deadline=None)
