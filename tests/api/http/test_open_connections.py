from __future__ import annotations

import asyncio
import time

import pytest

from edge_llama.api.http import open_connections
from edge_llama.api.http.open_connections import COMFORTABLE, REST_SECONDS, SURPLUS, OpenConnections
from tests.virtual_time import in_virtual_time


class Fake:
    """A client that was answered `rested` seconds ago; None: its request is under way."""

    def __init__(self, rested: float | None = None) -> None:
        self.resting_since = None if rested is None else time.monotonic() - rested
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_as_many_are_served_as_have_a_place() -> None:
    connections = OpenConnections(2)
    first, second, third = Fake(), Fake(), Fake()
    assert connections.add(first)
    assert connections.add(second)
    assert not connections.add(third)
    connections.remove(third)
    connections.remove(first)
    assert connections.add(Fake())


def test_a_newcomer_replaces_the_one_at_rest_for_longest() -> None:
    connections = OpenConnections(3)
    rested = [REST_SECONDS + 1, None, REST_SECONDS + 2]
    clients = [Fake(seconds) for seconds in rested]
    assert all(connections.add(client) for client in clients)
    assert connections.add(Fake())
    assert [client.closed for client in clients] == [False, False, True]
    # The closed one has not left yet, but it cannot be replaced twice.
    assert connections.add(Fake())
    assert [client.closed for client in clients] == [True, False, True]
    assert not connections.add(Fake())


def test_who_was_answered_just_now_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "REST_SECONDS", 3600)
    connections = OpenConnections(1)
    client = Fake(rested=1800)
    assert connections.add(client)
    assert not connections.add(Fake())
    assert not client.closed


@pytest.mark.parametrize(("most", "comfortable"), [(8, 6), (4096, COMFORTABLE)])
def test_connections_are_kept_while_there_are_few(most: int, comfortable: int) -> None:
    connections = OpenConnections(most)
    for _ in range(comfortable):
        connections.add(Fake())
        assert not connections.crowded
    one_more = Fake()
    connections.add(one_more)
    assert connections.crowded
    connections.remove(one_more)
    assert not connections.crowded


@in_virtual_time
async def test_there_is_room_until_too_many_are_leaving() -> None:
    connections = OpenConnections(1)
    clients = [Fake() for _ in range(1 + SURPLUS)]
    for client in clients:
        await asyncio.wait_for(connections.room(), 1)
        connections.add(client)
    waiting = asyncio.create_task(connections.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    connections.remove(clients[-1])
    await asyncio.wait_for(waiting, 1)
