from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.binding import DecodeError
from edge_llama.engine.blocks.reading import LoadedBlock
from edge_llama.engine.kv.kv_cache import ByteArray
from edge_llama.engine.kv.prefix_cache import TokenArray
from edge_llama.engine.side.context import CHUNK
from edge_llama.engine.side.reading import SideReading
from edge_llama.errors import ModelFileError
from tests.effort import PATIENCE


class FakeReader:
    """Remembers tokens where llama.cpp has keys and values.

    Args:
        gate: `read` waits for it.
    """

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.tokens: list[int] = []
        self.closed = False
        self.interrupted = threading.Event()
        self._gate = gate

    @property
    def length(self) -> int:
        return len(self.tokens)

    def load(self, block: LoadedBlock) -> bool:
        assert block.start == self.length
        self.tokens += block.state.view(np.int32).tolist()
        return True

    def read(self, tokens: TokenArray) -> bool:
        assert 0 < len(tokens) <= CHUNK
        while self._gate is not None and not self._gate.wait(0.001):
            if self.interrupted.is_set():
                return False
        self.tokens += tokens.tolist()
        return True

    def save(self, start: int) -> ByteArray:
        return state(self.tokens[start:])

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.closed = True


def state(tokens: list[int]) -> ByteArray:
    return np.asarray(tokens, np.int32).view(np.uint8)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def all_of(reading: SideReading) -> list[LoadedBlock]:
    """What it gives until it has ended."""
    blocks: list[LoadedBlock] = []

    def take() -> bool:
        if (block := reading.take()) is not None:
            blocks.append(block)
        return reading.ended

    until(take)
    return blocks


def prompt(n: int) -> TokenArray:
    return np.arange(n, dtype=np.int32)


@given(st.integers(1, 700), st.data(), st.sampled_from([16, 256, 4096]))
def test_the_whole_prompt_comes_in_blocks(n: int, data: st.DataObject, size: int) -> None:
    start = data.draw(st.integers(0, n - 1))
    reader = FakeReader()
    reading = SideReading(prompt(n), start, size, lambda: reader, lambda: None)
    for at in range(0, start, size):
        assert reading.hungry
        end = min(start, at + size)
        reading.feed(LoadedBlock(at, end - at, end, state(list(range(at, end)))))
    assert not reading.hungry
    length = start
    for block in all_of(reading):
        assert block.start % size == 0
        assert block.start <= length < block.end
        assert block.n_tokens == block.end - block.start
        assert block.state.view(np.int32).tolist() == list(range(block.start, block.end))
        length = block.end
    assert length == n
    assert reader.closed
    assert not reading.failed


def test_one_that_retires_gives_what_it_has() -> None:
    gate = threading.Event()
    reader = FakeReader(gate)
    reading = SideReading(prompt(1000), 0, 256, lambda: reader, lambda: None)
    assert not reading.ended
    reading.retire()
    gate.set()
    ends = [block.end for block in all_of(reading)]
    assert ends in ([], [CHUNK])
    assert reader.closed


def test_one_that_is_cancelled_is_interrupted_and_gives_nothing() -> None:
    reader = FakeReader(threading.Event())
    reading = SideReading(prompt(1000), 0, 256, lambda: reader, lambda: None)
    time.sleep(0.01)
    reading.cancel()
    until(lambda: reading.ended)
    assert reading.take() is None
    assert reader.closed


def test_one_that_waits_to_be_fed_can_be_cancelled() -> None:
    reader = FakeReader()
    reading = SideReading(prompt(1000), 300, 256, lambda: reader, lambda: None)
    reading.cancel()
    until(lambda: reading.ended)
    assert reader.length == 0


def test_without_memory_it_has_failed_and_tells() -> None:
    def open_reader() -> FakeReader:
        raise ModelFileError("no memory")

    told = threading.Event()
    reading = SideReading(prompt(1000), 0, 256, open_reader, told.set)
    assert told.wait(PATIENCE)
    assert reading.ended
    assert reading.failed


def test_when_what_is_fed_is_refused_it_has_failed() -> None:
    class Refusing(FakeReader):
        def load(self, block: LoadedBlock) -> bool:
            return False

    reader = Refusing()
    reading = SideReading(prompt(1000), 300, 256, lambda: reader, lambda: None)
    reading.feed(LoadedBlock(0, 256, 256, state(list(range(256)))))
    until(lambda: reading.ended)
    assert reading.failed
    assert reader.closed


def test_when_llama_cpp_fails_it_has_failed_and_its_memory_is_free() -> None:
    class Broken(FakeReader):
        def read(self, tokens: TokenArray) -> bool:
            raise DecodeError("llama_decode returned -3.")

    reader = Broken()
    reading = SideReading(prompt(1000), 0, 256, lambda: reader, lambda: None)
    until(lambda: reading.ended)
    assert reading.failed
    assert reader.closed
