from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.engine.kv.prefix_cache import common_prefix
from edge_llama.engine.kv.radix_prefix_cache import SMALLEST_TRIM, RadixPrefixCache
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache
from tests.engine.schedule.fake_runner import FakeMemory

Tokens = st.lists(st.integers(0, 3), max_size=12)


@dataclass(eq=False)
class Running:
    """A sequence that runs on what it found in the cache."""

    tokens: list[int]
    domain: str
    seq_id: int
    cached: int


class Cache:
    """A RadixPrefixCache over fakes, used as the scheduler uses it."""

    def __init__(self, n_cells: int = 1000, capacity: int = 4) -> None:
        self.memory = FakeMemory()
        self.kv = UnifiedKVCache(self.memory, n_cells, capacity + 3)
        self.prefixes = RadixPrefixCache(self.kv, capacity)
        self.running: list[Running] = []

    def start(self, tokens: list[int], domain: str = "", *, reuse: bool = True) -> Running:
        prompt = np.array(tokens[:-1], np.int32)
        match = self.prefixes.match(prompt, domain) if reuse else None
        source, length = (match.seq_id, match.length) if match else (-1, 0)
        seq_id = self.prefixes.start(prompt, domain, source, length)
        assert self.kv.length(seq_id) == length
        rest = tokens[length:]
        while self.kv.n_free < len(rest):
            assert self.prefixes.evict(len(rest) - self.kv.n_free)
        self.kv.extend(seq_id, len(rest))
        self.memory.tokens.setdefault(seq_id, []).extend(rest)
        assert self.memory.tokens[seq_id] == tokens
        running = Running(tokens, domain, seq_id, length)
        self.running.append(running)
        return running

    def finish(self, running: Running) -> None:
        self.running.remove(running)
        tokens = np.array(running.tokens, np.int32)
        self.prefixes.insert(tokens, running.seq_id, running.domain)

    def run(self, tokens: list[int], domain: str = "") -> int:
        """How many tokens of it were cached."""
        running = self.start(tokens, domain)
        self.finish(running)
        self.check()
        return running.cached

    def matched(self, tokens: list[int], domain: str = "") -> int:
        """How long the match is; it must be with a sequence that holds these tokens."""
        match = self.prefixes.match(np.array(tokens, np.int32), domain)
        if match is None:
            return 0
        assert self.memory.tokens[match.seq_id][: match.length] == tokens[: match.length]
        return match.length

    def check(self) -> None:
        self.prefixes.check_integrity()
        self.kv.check_integrity()

    @property
    def n_used(self) -> int:
        return self.kv.n_cells - self.kv.n_free


@given(Tokens, Tokens)
def test_common_prefix_is_what_a_loop_finds(a: list[int], b: list[int]) -> None:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    assert common_prefix(np.array(a, np.int32), np.array(b, np.int32)) == n


def test_the_longest_prefix_is_found_on_and_between_nodes() -> None:
    cache = Cache()
    for tokens in ([1, 2, 3, 4], [1, 2, 5], [9]):
        cache.run(tokens)
    assert cache.matched([1, 2, 3, 4, 5]) == 4
    assert cache.matched([1, 2, 3, 7]) == 3
    assert cache.matched([1, 2]) == 2
    assert cache.matched([1, 7]) == 1
    assert cache.matched([5]) == 0
    assert cache.matched([]) == 0


def test_conversations_hold_their_system_prompt_once() -> None:
    cache = Cache(capacity=8)
    system = [1] * 50
    for user in range(2, 10):
        cache.run([*system, user, user])
    assert len(cache.prefixes) == 8
    assert cache.n_used == 50 + 8 * 2


def test_a_conversation_needs_one_sequence_id_for_all_its_turns() -> None:
    cache = Cache(capacity=2)
    history = [1, 2, 3]
    for turn in range(4, 30):
        history = [*history, turn, turn]
        assert cache.run(history) == (len(history) - 2 if turn > 4 else 0)
    assert len(cache.prefixes) == 1
    assert cache.n_used == len(history)


def test_a_changed_end_branches_off_and_the_old_end_stays() -> None:
    cache = Cache()
    cache.run([1, 2, 3, 4, 5])
    assert cache.run([1, 2, 3, 7, 7]) == 3
    assert cache.matched([1, 2, 3, 4, 5]) == 5
    assert cache.matched([1, 2, 3, 7, 7]) == 5
    assert cache.n_used == 7


def test_what_two_computed_at_the_same_time_is_kept_once() -> None:
    cache = Cache()
    first, second = cache.start([1, 2, 3, 4]), cache.start([1, 2, 3, 5, 6])
    assert cache.n_used == 9
    cache.finish(first)
    cache.finish(second)
    cache.check()
    assert cache.n_used == 6
    assert cache.matched([1, 2, 3, 5, 6]) == 5


def test_a_prefix_of_what_is_there_adds_nothing() -> None:
    cache = Cache()
    cache.run([1, 2, 3, 4])
    cache.finish(cache.start([1, 2], reuse=False))
    cache.check()
    assert (len(cache.prefixes), cache.n_used) == (1, 4)


def test_what_was_used_longest_ago_goes_first_and_from_its_end() -> None:
    cache = Cache()
    old, new = [1] * 100, [2] * 100
    cache.run(old)
    cache.run(new)
    assert cache.prefixes.evict(1)
    assert (cache.matched(old), cache.matched(new)) == (100 - SMALLEST_TRIM, 100)
    assert cache.prefixes.evict(1000)
    assert (cache.matched(old), cache.matched(new)) == (0, 100)
    assert cache.prefixes.evict(80)
    assert cache.matched(new) == 20
    cache.check()
    assert cache.prefixes.clear()
    assert not cache.prefixes.clear()
    assert cache.kv.n_free == 1000


def test_a_shared_beginning_outlives_the_old_conversations_on_it() -> None:
    cache = Cache(capacity=2)
    system = [1] * 10
    cache.run([*system, 2, 2])
    cache.run([3, 3])
    # Of this one only the beginning is new, and it is used last.
    cache.run([*system, 2])
    cache.run([*system, 4])
    assert cache.matched([*system, 4]) == 11
    assert cache.matched([3, 3]) == 0
    cache.run([5, 5])
    assert cache.matched([*system, 2, 2]) == 10
    cache.check()


def test_what_is_locked_stays() -> None:
    cache = Cache()
    cache.run([1, 1, 1, 2])
    running = cache.start([1, 1, 1, 3])
    assert cache.prefixes.clear()
    assert cache.matched([1, 1, 1, 2]) == 3
    assert not cache.prefixes.evict(1)
    cache.check()
    cache.finish(running)
    assert cache.prefixes.clear()
    assert cache.matched([1]) == 0
    assert cache.kv.n_free == 1000


def test_a_locked_edge_can_be_cut_in_two() -> None:
    cache = Cache()
    cache.run([1, 1, 1, 1])
    long = cache.start([1, 1, 1, 1, 2])
    short = cache.start([1, 1, 3])
    cache.check()
    cache.finish(long)
    cache.prefixes.clear()
    cache.check()
    assert cache.matched([1, 1, 1, 1]) == 2
    cache.finish(short)
    cache.check()
    assert cache.prefixes.n_idle == 3


def test_domains_share_nothing() -> None:
    cache = Cache()
    assert cache.run([1, 2, 3], "a") == 0
    assert cache.run([1, 2, 3], "b") == 0
    assert cache.n_used == 6
    assert cache.run([1, 2, 3], "a") == 2
    assert cache.matched([1, 2, 3]) == 0


def test_domains_are_evicted_together() -> None:
    cache = Cache(capacity=2)
    for domain in ("a", "b", "c"):
        cache.run([1, 2, 3], domain)
    assert [cache.matched([1, 2, 3], domain) for domain in "abc"] == [0, 3, 3]


def test_what_is_idle_shrinks_and_what_runs_does_not() -> None:
    cache = Cache(n_cells=1000)
    cache.run([1] * 400)
    cache.run([2] * 300)
    running = cache.start([2] * 301)
    cache.prefixes.shrink(400)
    assert cache.matched([1] * 400) == 400
    cache.finish(running)
    cache.prefixes.shrink(500)
    assert cache.prefixes.n_idle == 500
    assert (cache.matched([1] * 400), cache.matched([2] * 301)) == (199, 301)
    cache.start([2] * 302)
    cache.prefixes.shrink(0)
    assert cache.prefixes.n_idle == 0
    assert (cache.matched([1] * 400), cache.matched([2] * 301)) == (0, 301)


def test_without_capacity_nothing_is_kept() -> None:
    cache = Cache(capacity=0)
    assert [cache.run([1, 2, 3]), cache.run([1, 2, 3])] == [0, 0]
    assert cache.kv.n_free == 1000


class PrefixCacheMachine(RuleBasedStateMachine):
    """Random use against a dict that has every cached prefix with its last use."""

    N_CELLS = 900
    CAPACITY = 3
    prompts = st.tuples(
        st.lists(st.integers(1, 2), min_size=1, max_size=5),
        st.integers(0, 39),
    ).map(lambda drawn: [token for token in drawn[0] for _ in range(40)][drawn[1] :])
    domains = st.sampled_from(["", "a"])

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(self.N_CELLS, self.CAPACITY)
        self.known: dict[tuple[str, tuple[int, ...]], int] = {}
        self.running = self.cache.running
        self.now = 0

    @precondition(lambda self: len(self.running) < 3)
    @rule(tokens=prompts, domain=domains, reuse=st.booleans())
    def start(self, tokens: list[int], domain: str, reuse: bool) -> None:
        expected = self.longest(tokens[:-1], domain) if reuse else 0
        running = self.cache.start(tokens, domain, reuse=reuse)
        assert running.cached == expected
        self.forget_evicted()

    @rule(n=st.integers(0, 200))
    def shrink(self, n: int) -> None:
        before = self.cache.prefixes.n_idle
        self.cache.prefixes.shrink(n)
        self.forget_evicted()
        assert min(before, n - SMALLEST_TRIM) <= self.cache.prefixes.n_idle <= n

    @precondition(lambda self: self.running)
    @rule(data=st.data(), computed=st.floats(0, 1))
    def finish(self, data: st.DataObject, computed: float) -> None:
        running = data.draw(st.sampled_from(self.running))
        length = max(running.cached, int(computed * len(running.tokens)))
        del running.tokens[length:]
        self.cache.kv.trim(running.seq_id, length)
        self.cache.finish(running)
        self.use(running.tokens, running.domain)
        self.forget_evicted(oldest=False)

    @rule(n=st.integers(1, 200))
    def evict(self, n: int) -> None:
        before, free = len(self.known), self.cache.kv.n_free
        evicted = self.cache.prefixes.evict(n)
        assert evicted is bool(self.known.keys() - self.locked())
        self.forget_evicted()
        assert before - len(self.known) <= max(n, SMALLEST_TRIM)
        assert (len(self.known) < before) is evicted
        assert self.cache.kv.n_free - free <= before - len(self.known) or self.running

    @rule()
    def clear(self) -> None:
        self.cache.prefixes.clear()
        self.forget_evicted(oldest=False)
        assert self.known.keys() == self.locked()

    @invariant()
    def the_tree_agrees_with_the_dict(self) -> None:
        self.cache.check()
        assert self.cache.prefixes.n_idle == len(self.known.keys() - self.locked())
        for domain, prefix in self.ends():
            assert self.cache.matched([*prefix, 3], domain) == len(prefix)
        for running in self.running:
            assert self.cache.memory.tokens[running.seq_id] == running.tokens

    def longest(self, tokens: list[int], domain: str) -> int:
        lengths = range(1, len(tokens) + 1)
        return sum((domain, tuple(tokens[:length])) in self.known for length in lengths)

    def use(self, tokens: list[int], domain: str) -> None:
        self.now += 1
        for length in range(1, len(tokens) + 1):
            self.known[domain, tuple(tokens[:length])] = self.now

    def locked(self) -> set[tuple[str, tuple[int, ...]]]:
        return {
            (running.domain, tuple(running.tokens[:length]))
            for running in self.running
            for length in range(1, running.cached + 1)
        }

    def ends(self) -> set[tuple[str, tuple[int, ...]]]:
        """Prefixes that are no prefix of another."""
        return self.known.keys() - {(domain, tokens[:-1]) for domain, tokens in self.known}

    def forget_evicted(self, *, oldest: bool = True) -> None:
        """Take over what the cache evicted: nothing locked, and what was used longest ago."""
        ends = self.ends() - self.locked()
        gone = {
            (domain, prefix[:length])
            for domain, prefix in ends
            for length in range(self.cache.matched(list(prefix), domain) + 1, len(prefix) + 1)
        }
        assert not gone & self.locked()
        if gone and oldest:
            stayed = [self.known[each] for each in ends - gone]
            assert min(self.known[each] for each in gone & ends) <= min(stayed, default=self.now)
        for each in gone:
            del self.known[each]


TestPrefixCacheMachine = PrefixCacheMachine.TestCase
TestPrefixCacheMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
