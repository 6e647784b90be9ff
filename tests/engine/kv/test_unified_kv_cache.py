from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache
from tests.engine.schedule.fake_runner import FakeMemory


def test_shared_cells_are_free_when_the_last_holder_lets_go() -> None:
    kv = UnifiedKVCache(FakeMemory(), n_cells=10, n_seq_max=3)
    first, second = kv.allocate(), kv.allocate()
    kv._memory.tokens[first] = [1, 2, 3, 4]  # type: ignore[attr-defined]
    kv.extend(first, 4)
    kv.copy(first, second, 3)
    assert kv.n_free == 6
    kv.free(first)
    assert kv.n_free == 7
    kv.trim(second, 1)
    assert kv.n_free == 9
    assert kv.length(second) == 1
    kv.check_integrity()


def test_extend_beyond_the_free_cells_is_a_bug() -> None:
    kv = UnifiedKVCache(FakeMemory(), n_cells=4, n_seq_max=1)
    with pytest.raises(AssertionError):
        kv.extend(kv.allocate(), 5)


def test_a_copy_over_own_cells_frees_them() -> None:
    memory = FakeMemory()
    kv = UnifiedKVCache(memory, n_cells=20, n_seq_max=3)
    a, b = kv.allocate(), kv.allocate()
    memory.tokens = {a: [1, 2, 3, 4], b: [1, 2, 3, 5, 6]}
    kv.extend(a, 4)
    kv.extend(b, 5)
    kv.copy(a, b, 3)
    assert kv.n_free == 20 - 6
    assert memory.tokens[b] == [1, 2, 3, 5, 6]
    assert kv.length(b) == 5
    kv.check_integrity()


def test_cells_held_by_some_and_a_prefix_of_another() -> None:
    kv = UnifiedKVCache(FakeMemory(), n_cells=20, n_seq_max=3)
    a, b, c = kv.allocate(), kv.allocate(), kv.allocate()
    kv.extend(a, 5)
    kv._memory.tokens[a] = [0] * 5  # type: ignore[attr-defined]
    kv.copy(a, b, 4)
    kv.extend(c, 6)
    assert kv.n_held([b]) == 4
    assert kv.n_held([b], source=c, length=2) == 6
    assert kv.n_held([a, b, c]) == 20 - kv.n_free == 11


class UnifiedKVCacheMachine(RuleBasedStateMachine):
    """Random use against plain lists of what each sequence should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = FakeMemory()
        self.kv = UnifiedKVCache(self.memory, n_cells=40, n_seq_max=5)
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
        n = min(n, self.kv.n_free)
        self.kv.extend(seq_id, n)
        fresh = list(range(self.next_cell, self.next_cell + n))
        self.next_cell += n
        self.memory.tokens.setdefault(seq_id, []).extend(fresh)
        self.model[seq_id] += fresh

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data(), share=st.floats(0, 1))
    def copy(self, data: st.DataObject, share: float) -> None:
        source, target = data.draw(st.permutations(sorted(self.model)))[:2]
        length = int(len(self.model[source]) * share)
        self.kv.copy(source, target, length)
        self.model[target][:length] = self.model[source][:length]

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

    @invariant()
    def books_balance(self) -> None:
        self.kv.check_integrity()
        held = {cell for cells in self.model.values() for cell in cells}
        assert self.kv.n_free == 40 - len(held)
        for seq_id, cells in self.model.items():
            assert self.kv.length(seq_id) == len(cells)
            assert self.memory.tokens.get(seq_id, []) == cells


TestUnifiedKVCacheMachine = UnifiedKVCacheMachine.TestCase
