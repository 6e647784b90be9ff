from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.engine.kv.stream_kv_cache import StreamKVCache
from edge_llama.engine.kv.stream_prefix_cache import SHORTEST_COPY, SMALL_REST, StreamPrefixCache
from tests.engine.schedule.fake_runner import FakeStreams


class Cache:
    """A StreamPrefixCache over fakes, used as the scheduler uses it."""

    def __init__(self, n_streams: int = 4, capacity: int = 8) -> None:
        self.memory = FakeStreams()
        self.kv = StreamKVCache(self.memory, 1000 * n_streams, n_streams)
        self.prefixes = StreamPrefixCache(self.kv, capacity)

    def start(self, tokens: list[int], domain: str = "") -> tuple[int, int]:
        """The sequence id, and how many tokens it held when it started."""
        prompt = np.array(tokens[:-1], np.int32)
        match = self.prefixes.match(prompt, domain)
        source, length = (match.seq_id, match.length) if match else (-1, 0)
        seq_id = self.prefixes.start(prompt, domain, source, length)
        cached = self.kv.length(seq_id)
        held = self.memory.tokens.setdefault(self.kv.native_id(seq_id), [])
        assert held == tokens[:cached]
        self.kv.extend(seq_id, len(tokens) - cached)
        held += tokens[cached:]
        return seq_id, cached

    def finish(self, tokens: list[int], seq_id: int, domain: str = "") -> None:
        self.prefixes.insert(np.array(tokens, np.int32), seq_id, domain)
        self.check()

    def run(self, tokens: list[int], domain: str = "") -> int:
        """How many tokens of it were cached."""
        seq_id, cached = self.start(tokens, domain)
        self.finish(tokens, seq_id, domain)
        return cached

    def matched(self, tokens: list[int], domain: str = "") -> int:
        match = self.prefixes.match(np.array(tokens, np.int32), domain)
        return match.length if match else 0

    def check(self) -> None:
        self.prefixes.check_integrity()
        self.kv.check_integrity()


def test_a_conversation_keeps_its_stream() -> None:
    cache = Cache()
    history = [1] * 20
    for turn in range(2, 20):
        history = [*history, turn, turn]
        assert cache.run(history) == (len(history) - 2 if turn > 2 else 0)
    assert len(cache.prefixes) == 1


def test_a_small_rest_is_given_up_and_a_large_one_kept() -> None:
    cache = Cache()
    cache.run([1] * 100 + [2] * SMALL_REST)
    assert cache.run([1] * 100 + [3]) == 100
    assert len(cache.prefixes) == 1
    cache.run([1] * 100 + [3] * (SMALL_REST + 1))
    assert cache.run([1] * 100 + [4]) == 100
    assert len(cache.prefixes) == 2


def test_the_prefix_used_longest_ago_goes_first() -> None:
    cache = Cache(n_streams=2)
    for token in (1, 2, 1, 3):
        cache.run([token] * 50)
    assert [cache.matched([token] * 50) for token in (1, 2, 3)] == [50, 0, 50]


def test_with_every_stream_in_use_the_oldest_is_cut_for_its_own_branch() -> None:
    cache = Cache(n_streams=2)
    cache.run([1] * 200)
    cache.run([2] * 200)
    assert cache.run([1] * 50 + [3]) == 50
    assert (cache.matched([1] * 200), cache.matched([2] * 200)) == (50, 200)


def test_a_short_beginning_is_computed_again() -> None:
    cache = Cache()
    cache.run([1] * (SHORTEST_COPY - 1) + [2] * 100)
    assert cache.run([1] * 200) == 0


def test_a_prefix_of_what_is_there_adds_nothing_but_a_use() -> None:
    cache = Cache(n_streams=3)
    cache.run([1] * 200)
    cache.run([2] * 200)
    cache.run([1] * 50)
    assert len(cache.prefixes) == 2
    assert cache.prefixes.evict(1)
    assert (cache.matched([1] * 200), cache.matched([2] * 200)) == (200, 0)


def test_domains_share_nothing() -> None:
    cache = Cache()
    assert [cache.run([1] * 50, domain) for domain in ("a", "b", "a")] == [0, 0, 49]
    assert cache.matched([1] * 50) == 0


def test_without_capacity_nothing_is_kept() -> None:
    cache = Cache(capacity=0)
    assert [cache.run([1] * 50), cache.run([1] * 50)] == [0, 0]
    assert cache.kv.n_free == cache.kv.n_cells


def test_clear_frees_every_stream() -> None:
    cache = Cache()
    for token in (1, 2, 3):
        cache.run([token] * 50)
    assert cache.prefixes.clear()
    assert not cache.prefixes.clear()
    assert cache.kv.n_free_ids == 4


class StreamPrefixCacheMachine(RuleBasedStateMachine):
    """Random use: whatever is found is what was computed, and no stream is lost."""

    prompts = st.tuples(
        st.lists(st.integers(1, 2), min_size=1, max_size=5),
        st.integers(0, 39),
    ).map(lambda drawn: [token for token in drawn[0] for _ in range(40)][drawn[1] :])
    domains = st.sampled_from(["", "a"])

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(n_streams=4, capacity=3)
        self.running: list[tuple[list[int], int, str]] = []
        self.last: tuple[list[int], str] | None = None

    @precondition(lambda self: len(self.running) < 4)
    @rule(tokens=prompts, domain=domains)
    def start(self, tokens: list[int], domain: str) -> None:
        matched = self.cache.matched(tokens[:-1], domain)
        seq_id, cached = self.cache.start(tokens, domain)
        assert cached == matched or (cached == 0 and matched < SHORTEST_COPY)
        self.running.append((tokens, seq_id, domain))
        self.last = None

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        running = data.draw(st.sampled_from(self.running))
        self.running.remove(running)
        tokens, seq_id, domain = running
        self.cache.finish(tokens, seq_id, domain)
        self.last = tokens, domain

    @rule()
    def evict(self) -> None:
        before = len(self.cache.prefixes)
        assert self.cache.prefixes.evict(1) is (before > 0)
        assert len(self.cache.prefixes) == max(0, before - 1)
        if before == 1:
            self.last = None

    @invariant()
    def every_stream_runs_or_is_kept_or_free(self) -> None:
        self.cache.check()
        used = len(self.running) + len(self.cache.prefixes)
        assert used + self.cache.kv.n_free_ids == 4

    @invariant()
    def what_was_used_last_is_kept(self) -> None:
        if self.last is not None:
            assert self.cache.matched(*self.last) == len(self.last[0])


TestStreamPrefixCacheMachine = StreamPrefixCacheMachine.TestCase
TestStreamPrefixCacheMachine.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
