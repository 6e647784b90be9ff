from __future__ import annotations

import httpx

from edge_llama.api.gate.guess_limit import MAX_CLIENTS, GuessLimit
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import app_for
from tests.fakes import FakeEngine


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_one_at_a_time() -> None:
    clock = Clock()
    limit = GuessLimit(burst=3, seconds=6, clock=clock)
    assert [limit.wrong("1.2.3.4") for _ in range(5)] == [0, 0, 0, 6, 6]
    clock.now += 4
    assert limit.wrong("1.2.3.4") == 2
    clock.now += 2
    assert [limit.wrong("1.2.3.4") for _ in range(2)] == [0, 6]
    assert limit.wrong("1.2.3.5") == 0
    clock.now += 1000
    assert [limit.wrong("1.2.3.4") for _ in range(4)] == [0, 0, 0, 6]


def test_addresses_of_one_household_count_as_one() -> None:
    limit = GuessLimit(burst=1, clock=Clock())
    assert limit.wrong("2001:db8::1") == 0
    assert limit.wrong("2001:db8::ffff:2") > 0
    assert limit.wrong("2001:db8:0:1::1") == 0
    assert limit.wrong("testclient") == 0


def test_its_memory_is_bounded() -> None:
    limit = GuessLimit(burst=1, clock=Clock())
    for number in range(MAX_CLIENTS * 2):
        limit.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limit._full_at) == MAX_CLIENTS


async def test_guessing_is_throttled_and_the_right_key_is_not() -> None:
    app = app_for(FakeEngine(), ServerSettings(api_key="right"))
    right = {"Authorization": "Bearer right"}

    async def statuses(client: httpx.AsyncClient, count: int) -> set[int]:
        found = set()
        for number in range(count):
            headers = {"Authorization": f"Bearer guess-{number}"}
            reply = await client.get("/v1/models", headers=headers)
            found.add(reply.status_code)
            if reply.status_code == 429:
                assert int(reply.headers["retry-after"]) >= 1
        return found

    def client_at(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost")

    attacker = client_at("10.0.0.1")
    assert await statuses(attacker, 10) == {401}
    assert await statuses(attacker, 10) == {429}
    assert (await attacker.get("/v1/models", headers=right)).status_code == 200
    assert await statuses(client_at("10.0.0.2"), 5) == {401}
    assert (await attacker.get("/v1/models")).status_code == 401
