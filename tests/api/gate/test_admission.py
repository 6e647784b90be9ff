from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.api.gate.admission import Appointments
from edge_llama.api.state.app_state import state_of
from edge_llama.settings.server import Limits, ServerSettings
from tests.api.asgi_call import AsgiCall, post, until
from tests.api.conftest import app_for, client_of
from tests.fakes import FakeEngine, Script
from tests.virtual_time import in_virtual_time

BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
ENDLESS = Script(pieces=["a"], hang=True)


def two_at_a_time(engine: FakeEngine, **options: Any) -> Any:
    return app_for(engine, ServerSettings(limits=Limits(max_requests=2), **options))


def begin(app: Any, **fields: Any) -> AsgiCall:
    return post(app, {**BODY, "stream": True, **fields})


@in_virtual_time
async def test_one_too_many_is_told_when_to_come_back() -> None:
    app = two_at_a_time(FakeEngine(ENDLESS))
    running = [begin(app), begin(app, stream=False)]
    await asyncio.sleep(0.05)
    refused = begin(app)
    await refused.finished()
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    error = json.loads(refused.body)["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    for call in running:
        call.disconnect()
        await call.finished()
    again = begin(app)
    await again.until_sent(b"data:")
    assert again.status == 200
    again.disconnect()
    await again.finished()


@in_virtual_time
async def test_what_ends_gives_its_place_back() -> None:
    engine = FakeEngine()
    client = client_of(two_at_a_time(engine))
    for body in (BODY, {**BODY, "n": "x"}, {**BODY, "model": "none"}, {**BODY, "stream": True}) * 3:
        assert (await client.post("/v1/chat/completions", json=body)).status_code != 429


@in_virtual_time
async def test_a_body_that_is_not_whole_takes_no_place() -> None:
    app = two_at_a_time(FakeEngine(ENDLESS))
    slow = [AsgiCall(app, body=[b"{", b""]) for _ in range(5)]
    for call in slow:
        call._incoming[-1]["more_body"] = True
    await until(lambda: all(not call._incoming for call in slow))
    call = begin(app)
    await call.until_sent(b"data:")
    for each in (call, *slow):
        each.disconnect()
        await each.finished()


@in_virtual_time
async def test_too_many_bytes_on_their_way_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_llama.api.gate.admission.MAX_RECEIVING", 100)
    app = two_at_a_time(FakeEngine())
    first = AsgiCall(app, body=[b"{" + b" " * 80, b""])
    first._incoming[-1]["more_body"] = True
    await until(lambda: not first._incoming)
    second = AsgiCall(app, body=[b"{" + b" " * 80, b" "])
    await second.finished()
    assert second.status == 429
    first.disconnect()
    await first.finished()
    third = AsgiCall(app, body=[b"{" + b" " * 80, b"}"])
    await third.finished()
    assert third.status == 400


@in_virtual_time
async def test_reading_routes_are_never_refused() -> None:
    app = two_at_a_time(FakeEngine(ENDLESS))
    running = [begin(app), begin(app)]
    for call in running:
        await call.until_sent(b"data:")
    client = client_of(app)
    for path in ("/health", "/v1/models"):
        assert (await client.get(path)).status_code == 200
    for call in running:
        call.disconnect()
        await call.finished()


@in_virtual_time
async def test_a_server_that_stops_takes_nothing_more() -> None:
    app = two_at_a_time(FakeEngine())
    state_of(app).stopping = True
    client = client_of(app)
    response = await client.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 503


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_appointments_follow_the_measured_rate(clock: Clock) -> None:
    appointments = Appointments(clock=clock)
    for _ in range(4):
        appointments.take_place()
    for _ in range(10):
        clock.now += 0.5
        appointments.free_place()
        appointments.take_place()
    assert [appointments.make() for _ in range(3)] == [0.5, 1.0, 1.5]
    clock.now += 1.5
    assert appointments.make() == pytest.approx(0.65)


def test_idle_time_does_not_count(clock: Clock) -> None:
    appointments = Appointments(clock=clock)
    for _ in range(3):
        appointments.take_place()
        clock.now += 2
        appointments.free_place()
        clock.now += 3600
    appointments.take_place()
    assert appointments.make() == pytest.approx(2)


def test_without_progress_they_move_away(clock: Clock) -> None:
    appointments = Appointments(clock=clock)
    appointments.take_place()
    assert appointments.make() == 0
    clock.now += 30
    assert appointments.make() == 30
    clock.now += 3000
    assert appointments.make() == 120


@given(st.lists(st.tuples(st.sampled_from("tfm"), st.floats(0, 100)), max_size=200))
def test_appointments_are_always_soon_and_in_order(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    appointments = Appointments(window=4, clock=clock)
    taken, last = 0, 0.0
    for step, wait in steps:
        clock.now += wait
        if step == "t":
            appointments.take_place()
            taken += 1
        elif step == "f" and taken:
            appointments.free_place()
            taken -= 1
        elif step == "m":
            seconds = appointments.make()
            assert 0 <= seconds <= 120 + 1e-6
            assert clock.now + seconds >= min(last, clock.now + 120) - 1e-6
            last = clock.now + seconds
