"""BlockIndex: what is in a folder of blocks, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge_llama.engine.blocks.name import BlockName
from edge_llama.engine.kv.prefix_cache import TokenArray

MOST_TOKENS = 2048
"""Blocks whose tokens are kept, a kilobyte each: those that were compared with prompts last."""


@dataclass(frozen=True, slots=True)
class Child:
    """A block in the index."""

    parent: BlockName
    name: BlockName
    n_tokens: int


class BlockIndex:
    """The blocks of one model, by the blocks that they continue. Not thread safe.

    Blocks of a small model are small, and a folder may hold many thousands of them: one takes some
    400 bytes here.
    """

    def __init__(self) -> None:
        # Of each parent, the tokens of its children: how many, by name.
        self._sizes: dict[BlockName, dict[BlockName, int]] = {}
        self._tokens: OrderedDict[BlockName, TokenArray] = OrderedDict()

    def __iter__(self) -> Iterator[Child]:
        for parent in self._sizes:
            yield from self.children(parent)

    def get(self, parent: BlockName, name: BlockName) -> Child | None:
        n_tokens = self._sizes.get(parent, {}).get(name)
        return None if n_tokens is None else Child(parent, name, n_tokens)

    def has_children(self, parent: BlockName) -> bool:
        return parent in self._sizes

    def children(self, parent: BlockName) -> list[Child]:
        """The blocks after this one, what was added last at the end."""
        sizes = self._sizes.get(parent, {})
        return [Child(parent, name, n_tokens) for name, n_tokens in sizes.items()]

    def add(self, child: Child) -> None:
        self._sizes.setdefault(child.parent, {})[child.name] = child.n_tokens

    def remove(self, child: Child) -> None:
        """Forget a block and its tokens."""
        self._tokens.pop(child.name, None)
        sizes = self._sizes.get(child.parent, {})
        sizes.pop(child.name, None)
        if not sizes:
            self._sizes.pop(child.parent, None)

    def replace(self, children: Iterable[Child]) -> None:
        """Have these instead of all others, whose tokens are forgotten."""
        self._sizes = {}
        for child in children:
            self.add(child)
        gone = self._tokens.keys() - {name for names in self._sizes.values() for name in names}
        for name in gone:
            del self._tokens[name]

    def tokens(self, child: Child) -> TokenArray | None:
        """Its tokens, if they are known."""
        tokens = self._tokens.get(child.name)
        if tokens is not None:
            self._tokens.move_to_end(child.name)
        return tokens

    def keep_tokens(self, child: Child, tokens: TokenArray) -> None:
        """Know its tokens from now on, until those of many others are."""
        self._tokens[child.name] = tokens
        if len(self._tokens) > MOST_TOKENS:
            self._tokens.popitem(last=False)
