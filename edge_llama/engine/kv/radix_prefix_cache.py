"""RadixPrefixCache: prefixes whose cells are shared, for the unified KV cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_llama.engine.kv.prefix_cache import Match, PrefixCache, TokenArray, common_prefix
from edge_llama.engine.kv.unified_kv_cache import UnifiedKVCache

SMALLEST_TRIM = 64
"""Tokens that go at once under pressure, so that not every step has to evict."""


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """An edge of the tree and the point where it ends.

    Attributes:
        tokens: the edge's label; only a root's is empty.
        depth: tokens from the root to its end.
        parent: None is a root.
        children: by the first token of their edges.
        seq_id: the sequence that holds the whole path, if this is a leaf.
        locks: sequences that run on a path through here.
        last_used: when a sequence that goes through here was last inserted, in insertions.
    """

    tokens: TokenArray
    depth: int
    parent: Node | None
    children: dict[int, Node] = field(default_factory=dict)
    seq_id: int = -1
    locks: int = 0
    last_used: int = 0

    def path(self) -> Iterator[Node]:
        """From here up to the child of the root."""
        node = self
        while node.parent is not None:
            yield node
            node = node.parent

    def leaf(self) -> Node:
        """A leaf below, or this one."""
        node = self
        while node.children:
            node = next(iter(node.children.values()))
        return node


class RadixPrefixCache(PrefixCache):
    """A radix tree over token ids, one root for each cache domain.

    ```
    (root) ── system prompt ──┬── question, answer ── question, answer    seq 3
                              ├── question, answer                        seq 7
                              └── question                                seq 4
    ```

    A leaf owns a sequence id, which holds all the path from the root; inner nodes own none. The
    sequences below a node hold the same cells for the path to it, so that a token of the tree is a
    cell of the KV cache, and many conversations hold their system prompt once.

    What was used longest ago goes first, from the end of a leaf's edge. When all of it is gone,
    the sequence id goes to the parent, or is freed if that has other children: what is shared
    stays as long as anything below it, or until its own last use is the oldest. Where a running
    sequence uses a path it is locked: to evict it would free no cells, for the sequence holds them.

    Args:
        kv: the KV cache that holds the cells.
        capacity: most leaves, and so most sequence ids.
    """

    def __init__(self, kv: UnifiedKVCache, capacity: int) -> None:
        self._kv = kv
        self._capacity = capacity
        self._roots: dict[str, Node] = {}
        self._leaves: set[Node] = set()
        # By sequence id, the end of the path that a running sequence keeps.
        self._locked: dict[int, Node] = {}
        self._insertions = 0
        self._n_idle = 0

    @property
    def n_idle(self) -> int:
        return self._n_idle

    def __len__(self) -> int:
        return len(self._leaves)

    def match(self, prompt: TokenArray, domain: str = "") -> Match | None:
        root = self._roots.get(domain)
        if root is None:
            return None
        node, length = _walk(root, prompt)
        return Match(length, node.leaf().seq_id) if length else None

    def start(self, prompt: TokenArray, domain: str, source: int, length: int) -> int:
        """Let a new sequence share the cells of `source`, and lock what of it is in the tree."""
        seq_id = self._kv.allocate()
        if length:
            self._kv.copy(source, seq_id, length)
        self._lock(prompt[:length], domain, seq_id)
        return seq_id

    def insert(self, tokens: TokenArray, seq_id: int, domain: str = "") -> None:
        """Take over a sequence id, whose KV holds exactly `tokens`.

        Of what is in the tree already, the sequence takes the tree's cells and gives up its own.
        """
        self._unlock(seq_id)
        root = self._roots.get(domain) or Node(tokens[:0], 0, None)
        node, length = _walk(root, tokens)
        if length < node.depth:
            node = _split(node, length)
        if length == len(tokens) or not self._capacity:
            self._touch(node)
            self._kv.free(seq_id)
            return
        self._roots[domain] = root
        if length:
            self._kv.copy(node.leaf().seq_id, seq_id, length)
        if node.seq_id >= 0:
            self._kv.free(self._take_seq_id(node))
        leaf = Node(tokens[length:].copy(), len(tokens), node)
        node.children[int(leaf.tokens[0])] = leaf
        self._n_idle += len(leaf.tokens)
        self._give_seq_id(leaf, seq_id)
        self._touch(leaf)
        while len(self._leaves) > self._capacity:
            self.evict(self._kv.n_cells)

    def evict(self, n: int) -> bool:
        idle = [leaf for leaf in self._leaves if not leaf.locks]
        if not idle:
            return False
        leaf = min(idle, key=lambda leaf: leaf.last_used)
        self._trim(leaf, min(max(n, SMALLEST_TRIM), len(leaf.tokens)))
        return True

    def shrink(self, n: int) -> None:
        while self.n_idle > n:
            self.evict(self.n_idle - n)

    def check_integrity(self) -> None:
        locks = Counter(node for end in self._locked.values() for node in end.path())
        nodes = [node for root in self._roots.values() for node in _below(root)]
        for node in nodes:
            parent = node.parent
            assert parent is not None
            assert len(node.tokens), "an edge has no tokens"
            assert parent.children[int(node.tokens[0])] is node, "a child has the wrong key"
            assert node.depth == parent.depth + len(node.tokens), "depths do not add up"
            assert node.locks == locks[node], "locks are lost or left over"
            assert all(child.last_used <= node.last_used for child in node.children.values())
            assert (node.seq_id >= 0) is (not node.children) is (node in self._leaves)
            assert node.children or self._kv.length(node.seq_id) == node.depth
        assert all(root.children for root in self._roots.values()), "a root without children"
        assert len(self._leaves) <= self._capacity, "more leaves than capacity"
        assert self._leaves <= set(nodes), "a leaf that is in no tree"
        assert self.n_idle == sum(len(node.tokens) for node in nodes if not node.locks)
        held = self._kv.n_held(leaf.seq_id for leaf in self._leaves)
        assert held == sum(len(node.tokens) for node in nodes), "cells are held twice"

    def _lock(self, tokens: TokenArray, domain: str, seq_id: int) -> None:
        """Keep what of these tokens is in the tree until the sequence is inserted."""
        root = self._roots.get(domain)
        if root is None:
            return
        node, length = _walk(root, tokens)
        if length < node.depth:
            node = _split(node, length)
        for each in node.path():
            if not each.locks:
                self._n_idle -= len(each.tokens)
            each.locks += 1
        self._locked[seq_id] = node

    def _unlock(self, seq_id: int) -> None:
        node = self._locked.pop(seq_id, None)
        for each in node.path() if node else ():
            each.locks -= 1
            if not each.locks:
                self._n_idle += len(each.tokens)

    def _trim(self, leaf: Node, n: int) -> None:
        """Drop the last `n` tokens of a leaf's edge; the leaf too if none are left."""
        assert leaf.parent is not None
        self._n_idle -= n
        leaf.depth -= n
        self._kv.trim(leaf.seq_id, leaf.depth)
        if n < len(leaf.tokens):
            leaf.tokens = leaf.tokens[:-n]
            return
        parent = leaf.parent
        seq_id = self._take_seq_id(leaf)
        del parent.children[int(leaf.tokens[0])]
        if parent.parent is not None and not parent.children:
            self._give_seq_id(parent, seq_id)
            return
        self._kv.free(seq_id)
        if not parent.children:
            self._roots = {key: root for key, root in self._roots.items() if root is not parent}

    def _give_seq_id(self, leaf: Node, seq_id: int) -> None:
        leaf.seq_id = seq_id
        self._leaves.add(leaf)

    def _take_seq_id(self, leaf: Node) -> int:
        seq_id, leaf.seq_id = leaf.seq_id, -1
        self._leaves.remove(leaf)
        return seq_id

    def _touch(self, node: Node) -> None:
        self._insertions += 1
        for each in node.path():
            each.last_used = self._insertions


def _walk(root: Node, tokens: TokenArray) -> tuple[Node, int]:
    """How far the tree goes along with `tokens`, and the node on whose edge that ends."""
    node, length = root, 0
    while length == node.depth and length < len(tokens):
        child = node.children.get(int(tokens[length]))
        if child is None:
            break
        node = child
        length += common_prefix(node.tokens, tokens[length:])
    return node, length


def _split(node: Node, depth: int) -> Node:
    """Cut the edge to a node in two; returns the new node, which ends at `depth`."""
    assert node.parent is not None
    rest = node.depth - depth
    upper = Node(
        node.tokens[:-rest],
        depth,
        node.parent,
        locks=node.locks,
        last_used=node.last_used,
    )
    node.parent.children[int(upper.tokens[0])] = upper
    node.tokens = node.tokens[-rest:]
    node.parent = upper
    upper.children[int(node.tokens[0])] = node
    return upper


def _below(root: Node) -> Iterator[Node]:
    pending = list(root.children.values())
    while pending:
        node = pending.pop()
        yield node
        pending += node.children.values()
