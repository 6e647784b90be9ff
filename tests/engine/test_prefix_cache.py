from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.kv_cache import KVCache
from edge_llama.engine.prefix_cache import PrefixCache, common_prefix
from tests.engine.fake_runner import FakeMemory

Tokens = st.lists(st.integers(0, 3), max_size=12)


def cache_of(*prompts: list[int], capacity: int = 4) -> tuple[KVCache, PrefixCache, list[int]]:
    memory = FakeMemory()
    kv = KVCache(memory, n_cells=100, n_seq_max=capacity + 2)
    cache = PrefixCache(kv, capacity)
    ids = []
    for tokens in prompts:
        seq_id = kv.allocate()
        kv.extend(seq_id, len(tokens))
        memory.tokens[seq_id] = list(tokens)
        cache.insert(tokens, seq_id)
        ids.append(seq_id)
    return kv, cache, ids


@given(Tokens, Tokens)
def test_common_prefix_is_what_a_loop_finds(a: list[int], b: list[int]) -> None:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    assert common_prefix(np.array(a, np.int32), np.array(b, np.int32)) == n


def test_match_finds_the_longest_and_tells_whether_it_is_whole() -> None:
    _, cache, ids = cache_of([1, 2], [1, 2, 3, 4], [9])
    match = cache.match(np.array([1, 2, 3, 4, 5], np.int32))
    assert match is not None
    assert (match.seq_id, match.length, match.whole) == (ids[1], 4, True)
    match = cache.match(np.array([1, 2, 3, 7], np.int32))
    assert match is not None
    assert (match.seq_id, match.length, match.whole) == (ids[1], 3, False)
    assert cache.match(np.array([5], np.int32)) is None
    cache.check_integrity()


def test_the_least_recently_used_goes_first_and_the_kept_one_stays() -> None:
    kv, cache, ids = cache_of([1], [2], [3])
    cache.touch(ids[0])
    assert cache.evict(keep=ids[1])
    assert cache.match(np.array([3], np.int32)) is None
    assert cache.evict()
    assert cache.match(np.array([1], np.int32)) is not None
    assert not cache.evict(keep=ids[0])
    cache.check_integrity()
    kv.check_integrity()


def test_capacity_bounds_the_entries_and_nothing_leaks() -> None:
    kv, cache, _ = cache_of([1, 1], [2, 2], [3, 3], [], capacity=2)
    assert len(cache) == 2
    assert kv.n_free == 96
    cache.check_integrity()
    kv.check_integrity()
