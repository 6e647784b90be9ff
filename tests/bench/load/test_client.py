"""Playing a load: who waits for whom, what prompts are made of, what is left at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from edge_llama.bench.load.client import Reply, play
from edge_llama.bench.load.load import (
    LONG_STRING,
    ORDER,
    Load,
    Request,
    concurrent,
    conversations,
    forms,
    newcomer,
)
from edge_llama.errors import EngineDied

SLOW = 0.002


class FakeClient:
    """Speaks words: `s:seed`, `u:seed`, `a`. A piece of an answer takes `SLOW` seconds."""

    def __init__(self, failing: int | None = None) -> None:
        self.prompts: list[tuple[str, ...]] = []
        self.schemas: list[str | None] = []
        self.running = self.most = self.broken_off = 0
        self._failing = failing

    def system(self, n_tokens: int, seed: str) -> tuple[str, ...]:
        return (f"s:{seed}",)

    def user(self, n_tokens: int, seed: str) -> tuple[str, ...]:
        return (f"u:{seed}",)

    async def ask(
        self,
        prompt: tuple[str, ...],
        n_tokens: int,
        on_output: Callable[[], None],
        schema: str | None = None,
    ) -> Reply[str]:
        self.prompts.append(prompt)
        self.schemas.append(schema)
        if len(self.prompts) == self._failing:
            raise EngineDied("gone")
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(n_tokens):
                await asyncio.sleep(SLOW)
                on_output()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        finally:
            self.running -= 1
        return Reply(len(prompt), None, n_tokens, ("a",))


async def test_a_conversation_goes_on_with_what_was_said() -> None:
    client = FakeClient()
    streams = await play(client, conversations(2, 10, 5), seed=7)
    assert client.prompts == [
        ("u:7.0",),
        ("u:7.1",),
        ("u:7.0", "a", "u:7.2"),
        ("u:7.1", "a", "u:7.3"),
    ]
    assert client.most == 1
    assert [stream.prompt_tokens for stream in streams] == [1, 1, 3, 3]
    for before, after in pairwise(streams):
        assert before.end <= after.start < after.times[0]


async def test_a_system_prompt_is_the_same_for_all_of_a_run() -> None:
    client = FakeClient()
    asked = Request(prompt_tokens=5, output_tokens=1, system_tokens=9)
    await play(client, Load((asked, asked)), seed=3)
    assert {prompt[0] for prompt in client.prompts} == {"s:3"}
    assert len({prompt[1] for prompt in client.prompts}) == 2


async def test_clients_come_apart_and_run_together() -> None:
    client = FakeClient()
    streams = await play(client, concurrent(3, 10, 30, apart=0.01), seed=1)
    assert client.most == 3
    starts = [stream.start for stream in streams]
    assert starts == sorted(starts)
    assert starts[2] >= 0.02
    assert [len(stream.times) for stream in streams] == [30, 30, 30]


async def test_a_newcomer_comes_into_the_stream_and_ends_it() -> None:
    client = FakeClient()
    alone, running, late = await play(client, newcomer(100), seed=1)
    assert alone.end <= running.start
    assert late.start >= running.times[15]
    assert len(running.times) < 512
    assert running.output_tokens == len(running.times)
    assert client.broken_off == 1
    assert client.running == 0


async def test_who_waits_for_a_stream_that_ends_early_is_let_go() -> None:
    short = Request(prompt_tokens=5, output_tokens=2)
    waiting = Request(prompt_tokens=5, output_tokens=1, after=0, after_outputs=16)
    first, second = await play(FakeClient(), Load((short, waiting)), seed=1)
    assert second.start >= first.end


async def test_an_answer_without_a_piece_is_seen_at_its_end() -> None:
    (stream,) = await play(FakeClient(), Load((Request(prompt_tokens=5, output_tokens=0),)), 1)
    assert len(stream.times) == 1


async def test_a_failure_ends_all() -> None:
    client = FakeClient(failing=2)
    with pytest.raises(EngineDied):
        await play(client, concurrent(3, 10, 1000, apart=0), seed=1)
    assert client.running == 0
    assert client.broken_off == 2


async def test_answers_in_a_form_come_one_after_the_other() -> None:
    client = FakeClient()
    await play(client, forms(3), seed=1)
    assert client.schemas == [None, LONG_STRING, ORDER]
    assert client.most == 1
