"""Account: what one key uses, held against what it may."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_llama.accounts.key import Key
from edge_llama.accounts.limits import KeyLimits
from edge_llama.accounts.prices import FREE, Price
from edge_llama.accounts.usage import DAY, HOUR, Spent
from edge_llama.accounts.window import WINDOW, MinuteWindow
from edge_llama.errors import BudgetExceeded, LimitReached, ModelNotAllowed

STRIDE = 256
"""Tokens that a request sets aside at a time which does not say how many it wants."""

BUSY_RETRY_AFTER = 1.0
"""Seconds after which a key may try again that has too many requests under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a limit of a minute stands.

    Attributes:
        limit: most in 60 seconds.
        remaining: what may be used at once.
        reset: seconds until all of it may be.
    """

    limit: int
    remaining: int
    reset: float


class Account:
    """What one key uses, held against what it may.

    Tokens are set aside when a request begins and given back when it ends, so that requests which
    run at the same time cannot go over a limit together:

    ```
    tpm   ├── used in the last 60 seconds ──┼── used by running ──┼── set aside ──┼── free ──┤
    ```

    Args:
        key: whose it is; it may be replaced by the same key with other limits.
        prices: by model; others cost nothing.
        requests: what was counted before of the last 60 seconds.
        tokens: the same.
        today: what was used on the day of `day`.
        day: days since 1970.
        cents: what was used ever.
    """

    def __init__(
        self,
        key: Key,
        prices: Mapping[str, Price],
        *,
        requests: Iterable[tuple[int, int]] = (),
        tokens: Iterable[tuple[int, int]] = (),
        today: int = 0,
        day: int = 0,
        cents: float = 0.0,
    ) -> None:
        self.key = key
        self._prices = prices
        self._requests = MinuteWindow(requests)
        self._tokens = MinuteWindow(tokens)
        self._today, self._day = today, day
        self._cents = cents
        self._running = 0
        self._held = 0
        self._used_by_running = 0
        self._cents_held = 0.0
        self._pending: dict[tuple[int, str], Spent] = {}

    @property
    def limits(self) -> KeyLimits:
        return self.key.limits

    def check_model(self, model: str) -> None:
        """
        Raises:
            ModelNotAllowed: the key may not use it.
        """
        if not self.may_use(model):
            raise ModelNotAllowed(f"This API key may not use the model {model}.", param="model")

    def may_use(self, model: str) -> bool:
        return self.limits.models is None or model in self.limits.models

    def admit(self, now: float) -> None:
        """Count a request that is under way until `leave`.

        Raises:
            LimitReached: there are too many at once, in a minute or for a day.
            BudgetExceeded: nothing is left.
        """
        limits = self.limits
        if limits.parallel is not None and self._running >= limits.parallel:
            raise LimitReached(
                f"This API key may have {limits.parallel} requests at the same time. "
                "Try again when one has ended.",
                retry_after=BUSY_RETRY_AFTER,
            )
        if limits.rpm is not None and (wait := self._requests.seconds_until(1, limits.rpm, now)):
            raise LimitReached(
                f"This API key may send {limits.rpm} requests a minute. "
                f"Try again in {_told(wait)}.",
                retry_after=wait,
            )
        self._check_room(1, 0.0, now)
        self._requests.add(1, now)
        self._running += 1

    def leave(self) -> None:
        """One that was admitted has ended."""
        self._running -= 1

    def hold(
        self, model: str, prompt_tokens: int, max_tokens: int | None, now: float
    ) -> Reservation:
        """Set aside what a request may use that a model has accepted, and count its prompt.

        Args:
            model: its id.
            prompt_tokens: of its prompt.
            max_tokens: most tokens of all its output; None sets aside some at a time.
            now: seconds since 1970.

        Raises:
            LimitReached: it may use more than is left for now.
            BudgetExceeded: it may cost more than is left.
        """
        price = self._prices.get(model, FREE)
        output = self._stride(price, prompt_tokens, now) if max_tokens is None else max_tokens
        tokens, cents = prompt_tokens + output, price.cents(prompt_tokens, output)
        self._check_room(tokens, cents, now)
        self._set_aside(tokens, cents)
        reservation = Reservation(self, model, price, tokens, cents, grows=max_tokens is None)
        reservation.use(Spent(requests=1, prompt_tokens=prompt_tokens), now)
        return reservation

    def standing(self, now: float) -> tuple[Standing | None, Standing | None]:
        """Of requests and of tokens; None is not limited."""
        limits = self.limits
        requests = self._requests.total(now)
        tokens = self._tokens.total(now) + self._held
        return (
            _standing(limits.rpm, requests, self._requests, now),
            _standing(limits.tpm, tokens, self._tokens, now),
        )

    def take_pending(self) -> dict[tuple[int, str], Spent]:
        """What was used since the last call, by hour and model."""
        pending, self._pending = self._pending, {}
        return pending

    def give_back_pending(self, pending: Mapping[tuple[int, str], Spent]) -> None:
        """Take up again what could not be written."""
        for place, usage in pending.items():
            self._pending.setdefault(place, Spent()).add(usage)

    def recent(self, now: float) -> dict[int, tuple[int, int]]:
        """Requests and tokens of the last 60 seconds, by second, with those of what runs."""
        self._requests.total(now), self._tokens.total(now)
        found = {second: (count, 0) for second, count in self._requests}
        for second, count in (*self._tokens, (int(now), self._used_by_running)):
            requests, tokens = found.get(second, (0, 0))
            if requests or tokens or count:
                found[second] = (requests, tokens + count)
        return found

    def _stride(self, price: Price, prompt_tokens: int, now: float) -> int:
        """How many tokens of output to set aside next: at most `STRIDE`, at least one."""
        room = min(self._minute_left(now), self._day_left(now)) - prompt_tokens
        if price.output:
            cents = self._cents_left() - price.cents(prompt_tokens, 0)
            room = min(room, cents / price.cents(0, 1))
        return int(max(1, min(STRIDE, room)))

    def _minute_left(self, now: float) -> float:
        limit = self.limits.tpm
        return math.inf if limit is None else limit - self._tokens.total(now) - self._held

    def _day_left(self, now: float) -> float:
        self._begin_day(now)
        limit = self.limits.tokens_per_day
        unused = self._held - self._used_by_running
        return math.inf if limit is None else limit - self._today - unused

    def _cents_left(self) -> float:
        budget = self.limits.budget_cents
        return math.inf if budget is None else budget - self._cents - self._cents_held

    def _check_room(self, tokens: int, cents: float, now: float) -> None:
        self._check_budget(cents)
        left = self._day_left(now)
        if tokens > left:
            raise LimitReached(
                f"This API key may use {self.limits.tokens_per_day} tokens a day. {max(0, left)} "
                f"are left until midnight UTC, and this request may use {tokens}.",
                retry_after=DAY - now % DAY,
            )
        limit = self.limits.tpm
        if limit is None:
            return
        may = f"This API key may use {limit} tokens a minute, and this request may use {tokens}."
        if tokens > limit:
            raise LimitReached(
                f"{may} Shorten it, or lower `max_tokens`.", retry_after=float(WINDOW)
            )
        wait = self._tokens.seconds_until(tokens + self._held, limit, now)
        if wait:
            raise LimitReached(f"{may} Try again in {_told(wait)}.", retry_after=wait)

    def _check_budget(self, cents: float) -> None:
        left, budget = self._cents_left(), self.limits.budget_cents
        if left <= 0:
            raise BudgetExceeded(
                f"This API key has used its budget of {budget:g} cents. Ask who gave it to you to "
                "raise it."
            )
        if cents > left:
            raise BudgetExceeded(
                f"This request may cost {cents:.4g} cents. {left:.4g} are left of the budget of "
                f"{budget:g} cents of this API key. Lower `max_tokens`."
            )

    def _begin_day(self, now: float) -> None:
        day = int(now // DAY)
        if day > self._day:
            self._day, self._today = day, 0

    def _set_aside(self, tokens: int, cents: float) -> None:
        self._held += tokens
        self._cents_held += cents

    def _use(self, model: str, usage: Spent, now: float) -> None:
        self._begin_day(now)
        self._today += usage.tokens
        self._used_by_running += usage.tokens
        self._cents += usage.cents
        self._cents_held -= usage.cents
        place = int(now) // HOUR * HOUR, model
        self._pending.setdefault(place, Spent()).add(usage)

    def _settle(self, held: int, used: int, cents_unused: float, now: float) -> None:
        self._held -= held
        self._used_by_running -= used
        self._cents_held -= cents_unused
        self._tokens.add(used, now)


class Reservation:
    """What is set aside for a running request.

    Args:
        account: of whom.
        model: the model's id.
        price: of its tokens.
        held: tokens that are set aside, those of the prompt too.
        cents: what they cost.
        grows: more is set aside when they are used up.
    """

    def __init__(
        self, account: Account, model: str, price: Price, held: int, cents: float, *, grows: bool
    ) -> None:
        self._account = account
        self._model = model
        self._price = price
        self._held, self._used = held, 0
        self._cents, self._cents_used = cents, 0.0
        self._grows = grows
        self._open = True

    def use(self, usage: Spent, now: float) -> bool:
        """Count what was used; whether another token may be.

        `usage.cents` is set here.
        """
        usage.cents = self._price.cents(usage.prompt_tokens, usage.completion_tokens)
        self._used += usage.tokens
        self._cents_used += usage.cents
        self._account._use(self._model, usage, now)
        return self._used < self._held or self._grow(now)

    def settle(self, now: float) -> None:
        """Give back what was not used. Once is enough."""
        if self._open:
            self._open = False
            unused = self._cents - self._cents_used
            self._account._settle(self._held, self._used, unused, now)

    def _grow(self, now: float) -> bool:
        if not self._grows:
            return False
        account = self._account
        tokens = account._stride(self._price, 0, now)
        cents = self._price.cents(0, tokens)
        try:
            account._check_room(tokens, cents, now)
        except (LimitReached, BudgetExceeded):
            return False
        account._set_aside(tokens, cents)
        self._held += tokens
        self._cents += cents
        return True


def _standing(limit: int | None, used: int, window: MinuteWindow, now: float) -> Standing | None:
    if limit is None:
        return None
    reset = window.seconds_until(limit, limit, now) if used else 0.0
    return Standing(limit=limit, remaining=max(0, limit - used), reset=reset)


def _told(seconds: float) -> str:
    return f"{max(1, round(seconds))} s"
