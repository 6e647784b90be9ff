from __future__ import annotations

import contextlib
import random

import pytest

from edge_llama.accounts.account import STRIDE, Account, Reservation
from edge_llama.accounts.key import Key
from edge_llama.accounts.limits import KeyLimits
from edge_llama.accounts.prices import Price
from edge_llama.accounts.usage import DAY, Spent
from edge_llama.errors import BudgetExceeded, LimitReached, ModelNotAllowed

NOON = 20_000 * DAY + DAY / 2


def account(**limits: object) -> Account:
    key = Key(id="key_1", name="alice", digest=b"1", limits=KeyLimits(**limits))  # type: ignore[arg-type]
    return Account(key, {"m": Price(input=1e6, output=2e6)}, day=int(NOON // DAY))


def test_requests_of_a_minute() -> None:
    alice = account(rpm=2)
    alice.admit(NOON)
    alice.admit(NOON + 1)
    with pytest.raises(LimitReached, match="2 requests a minute") as caught:
        alice.admit(NOON + 30)
    assert caught.value.retry_after == 31
    alice.admit(NOON + 61)


def test_requests_at_once() -> None:
    alice = account(parallel=1)
    alice.admit(NOON)
    with pytest.raises(LimitReached, match="1 requests at the same time"):
        alice.admit(NOON)
    alice.leave()
    alice.admit(NOON)


def test_what_is_refused_takes_no_place() -> None:
    alice = account(rpm=1, parallel=1)
    alice.admit(NOON)
    for _ in range(3):
        with pytest.raises(LimitReached):
            alice.admit(NOON + 1)
    alice.leave()
    alice.admit(NOON + 61)


def test_tokens_are_set_aside_until_the_end() -> None:
    alice = account(tpm=100)
    held = alice.hold("free", 20, 60, NOON)
    with pytest.raises(LimitReached, match="100 tokens a minute"):
        alice.hold("free", 10, 20, NOON)
    held.use(Spent(completion_tokens=5), NOON + 1)
    held.settle(NOON + 2)
    held.settle(NOON + 2)
    alice.hold("free", 10, 65, NOON + 2).settle(NOON + 2)
    with pytest.raises(LimitReached):
        alice.hold("free", 10, 56, NOON + 62)
    alice.hold("free", 10, 90, NOON + 63)


def test_a_request_that_never_fits_is_told_so() -> None:
    with pytest.raises(LimitReached, match="lower `max_tokens`"):
        account(tpm=100).hold("free", 50, 51, NOON)


def test_a_request_without_max_tokens_takes_what_is_left_bit_by_bit() -> None:
    alice = account(tpm=STRIDE + 50)
    held = alice.hold("free", 20, None, NOON)
    alice.hold("free", 10, 20, NOON)
    with pytest.raises(LimitReached):
        alice.hold("free", 1, 1, NOON)
    written = 0
    while held.use(Spent(completion_tokens=1), NOON):
        written += 1
    assert written + 1 == STRIDE


def test_tokens_of_a_day_begin_anew_at_midnight() -> None:
    alice = account(tokens_per_day=100)
    alice.hold("free", 50, 0, NOON).settle(NOON)
    with pytest.raises(LimitReached, match="50 are left until midnight UTC") as caught:
        alice.hold("free", 51, 0, NOON)
    assert caught.value.retry_after == DAY / 2
    alice.hold("free", 51, 0, NOON + DAY / 2)


def test_a_budget_is_never_passed() -> None:
    alice = account(budget_cents=10)
    alice.hold("m", 2, 2, NOON).settle(NOON)  # 2 cents for its prompt
    with pytest.raises(BudgetExceeded, match="8 are left"):
        alice.hold("m", 1, 4, NOON)
    held = alice.hold("m", 2, None, NOON)
    assert held.use(Spent(completion_tokens=2), NOON)
    assert not held.use(Spent(completion_tokens=1), NOON)
    held.settle(NOON)
    with pytest.raises(BudgetExceeded, match="has used its budget"):
        alice.admit(NOON)


def test_models() -> None:
    alice = account(models=("m",))
    alice.check_model("m")
    with pytest.raises(ModelNotAllowed, match="may not use the model other"):
        alice.check_model("other")


def test_what_stands_in_headers() -> None:
    alice = account(rpm=10, tpm=100)
    alice.admit(NOON)
    alice.hold("free", 10, 20, NOON)
    requests, tokens = alice.standing(NOON + 1)
    assert requests is not None
    assert tokens is not None
    assert (requests.limit, requests.remaining, requests.reset) == (10, 9, 60.0)
    assert (tokens.limit, tokens.remaining) == (100, 70)
    assert account().standing(NOON) == (None, None)


@pytest.mark.parametrize("seed", range(20))
def test_no_minute_has_more_tokens_than_it_may(seed: int) -> None:
    """However requests overlap, and whether their tokens are counted when they begin, when they
    are written or when they end."""
    draw = random.Random(seed)
    alice, limit, now = account(tpm=1000), 1000, NOON
    running: list[tuple[Reservation, float, list[tuple[float, int]]]] = []
    ended: list[tuple[float, float, list[tuple[float, int]]]] = []
    for _ in range(400):
        now += draw.expovariate(1)
        if draw.random() < 0.5:
            prompt, most = draw.randrange(1, 200), draw.choice((None, draw.randrange(300)))
            with contextlib.suppress(LimitReached):
                running.append((alice.hold("free", prompt, most, now), now, [(now, prompt)]))
        for one in [*running]:
            held, begun, written = one
            goes_on = held._used < held._held and held.use(Spent(completion_tokens=1), now)
            written.append((now, 1))
            if not goes_on or draw.random() < 0.05:
                held.settle(now)
                running.remove(one)
                ended.append((begun, now, written))
    assert len(ended) > 20
    total = [(end, sum(count for _, count in written)) for _, end, written in ended]
    at_begin = [(begun, sum(count for _, count in written)) for begun, _, written in ended]
    by_token = [each for _, _, written in ended for each in written]
    for counted in (total, at_begin, by_token):
        for begin, _ in counted:
            assert sum(count for at, count in counted if begin <= at < begin + 60) <= limit
