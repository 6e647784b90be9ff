"""BlockFolder against a model of it, with two processes, damage and removal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_llama.engine.blocks.block_file import Block
from edge_llama.engine.blocks.entry import Entry
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.engine.blocks.index import Child
from edge_llama.engine.blocks.name import BlockName, block_name
from edge_llama.engine.kv.prefix_cache import TokenArray
from tests.engine.blocks.making import FINGERPRINT, ROOT

SIZE = 4
prompts = st.lists(st.integers(0, 1), min_size=1, max_size=11).map(
    lambda ids: np.asarray(ids, np.int32)
)
processes = st.integers(0, 1)


def pieces(prompt: TokenArray) -> list[tuple[BlockName, TokenArray]]:
    """Each block of a prompt, and its parent."""
    found, parent = [], ROOT
    for start in range(0, len(prompt), SIZE):
        found.append((parent, prompt[start : start + SIZE]))
        parent = block_name(parent, found[-1][1])
    return found


def state_of(parent: BlockName, tokens: TokenArray) -> bytes:
    """What stands for the KV: it depends on all tokens up to each."""
    return b"".join(block_name(parent, tokens[: n + 1]) for n in range(len(tokens)))


class FolderMachine(RuleBasedStateMachine):
    """Whatever happens, what is read is what was computed for the very tokens asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        # Hundreds of small files: what makes them survive a loss of power takes all the time.
        self._patch = mock.patch("os.fsync")
        self._patch.start()
        self.root = Path(self._temporary.name)
        self.folders = [BlockFolder(self.root, 1 << 20, FINGERPRINT) for _ in range(2)]
        for folder in self.folders:
            folder.prepare()
        # Of each parent, the blocks that must be there.
        self.there: dict[BlockName, dict[tuple[int, ...], Path | None]] = {}

    @rule(prompt=prompts, who=processes)
    def add(self, prompt: TokenArray, who: int) -> None:
        for parent, tokens in pieces(prompt):
            state = np.frombuffer(state_of(parent, tokens), np.uint8)
            self.folders[who].add(Block(FINGERPRINT, parent, tokens, state))
            ids = tuple(tokens.tolist())
            siblings = self.there.setdefault(parent, {})
            if ids in siblings:
                continue
            for other in [other for other in siblings if other == ids[: len(other)] != ids]:
                del siblings[other]
            siblings[ids] = None

    @rule(prompt=prompts, who=processes)
    def look_up(self, prompt: TokenArray, who: int) -> None:
        for parent, tokens in pieces(prompt):
            expected = max((_common(ids, tokens) for ids in self.there.get(parent, ())), default=0)
            match = self.folders[who].find(parent, tokens, SIZE)
            assert (match[1] if match else 0) == expected
            if match is None:
                return
            self._check_block(self.folders[who], match[0], parent, tokens[: match[1]])
            if match[1] < SIZE:
                return

    @precondition(lambda self: self._entries())
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self._entries()))
        content = bytearray(entry.path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 0xFF
        entry.path.write_bytes(content)
        # Whoever reads it, it is found to be damaged and removed.
        for folder in self.folders:
            folder.refresh()
            found = [child for child in folder._index if folder.path_of(child) == entry.path]
            for child in found:
                assert folder.read(child) is None
        assert not entry.path.exists()
        self._forget(entry)

    @rule(who=processes, share=st.floats(0, 1))
    def prune(self, who: int, share: float) -> None:
        before = {entry.path for entry in self._entries()}
        total = sum(entry.size for entry in self._entries())
        self.folders[who].prune(int(share * total))
        left = {entry.path for entry in self._entries()}
        assert sum(entry.size for entry in self._entries()) <= share * total
        assert left <= before
        names = {path.name.split("-")[2] for path in left}
        for parent, siblings in list(self.there.items()):
            for ids in list(siblings):
                if block_name(parent, np.asarray(ids, np.int32)).hex() not in names:
                    del siblings[ids]

    @invariant()
    def nothing_else_is_there(self) -> None:
        there = sum(len(siblings) for siblings in self.there.values())
        assert len(self._entries()) == there
        assert not list((self.root / "kv" / "parts").glob("*.part"))

    def teardown(self) -> None:
        self._patch.stop()
        self._temporary.cleanup()

    def _entries(self) -> list[Entry]:
        return self.folders[0].entries()

    def _forget(self, entry: Entry) -> None:
        name = entry.path.name.split("-")[2]
        for parent, siblings in self.there.items():
            for ids in list(siblings):
                if block_name(parent, np.asarray(ids, np.int32)).hex() == name:
                    del siblings[ids]

    def _check_block(
        self, folder: BlockFolder, child: Child, parent: BlockName, tokens: TokenArray
    ) -> None:
        block = folder.read(child)
        assert block is not None
        wanted = state_of(parent, tokens)
        assert block.state.tobytes()[: len(wanted)] == wanted


def _common(ids: tuple[int, ...], tokens: TokenArray) -> int:
    n = 0
    while n < min(len(ids), len(tokens)) and ids[n] == tokens[n]:
        n += 1
    return n


FolderMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
TestFolder = FolderMachine.TestCase
