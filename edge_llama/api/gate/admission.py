"""Admission: how many requests may be under way, and when those that are refused may come back."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_llama.accounts.account import Account
from edge_llama.api.errors import MAX_RETRY_AFTER, ServerStopping, TooManyRequests, error_response
from edge_llama.api.state.app_state import state_of
from edge_llama.api.state.request_state import request_state
from edge_llama.settings.server import Limits

MAX_RECEIVING = 64 * 1024 * 1024
"""Bytes of all bodies that are being received."""


class AdmissionMiddleware:
    """Refuses POST requests that would have to wait behind too many others.

    A request is under way from the last byte of its body to the last byte of its answer, so that
    slow senders take nobody's place. Each caller has a queue of his own, and his account its
    limits. A server that is stopping takes no more requests.

    Args:
        app: what answers; it calls `receive` until the body is whole, and turns what that raises
            into an answer.
        limits: how many requests.
        clock: seconds since 1970.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._limits = limits
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._receiving = 0
        self._appointments = Appointments()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif state_of(scope["app"]).stopping:
            await error_response(ServerStopping("The server is stopping."))(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = request_state(scope)
        caller, account = state.caller, state.account
        received = 0
        admitted = False

        async def receive_and_admit() -> Message:
            nonlocal received, admitted
            message = await receive()
            if message["type"] == "http.request" and not admitted:
                size = len(message.get("body", b""))
                received += size
                self._receiving += size
                if not message.get("more_body", False):
                    self._take_place(caller, account)
                    admitted = True
                elif self._receiving > MAX_RECEIVING:
                    raise TooManyRequests("The server receives too much at once.", retry_after=1)
            return message

        try:
            await self._app(scope, receive_and_admit, send)
        finally:
            self._receiving -= received
            if admitted:
                self._leave(caller, account)

    def _take_place(self, caller: str, account: Account | None) -> None:
        if self._under_way[caller] >= self._limits.max_requests:
            raise TooManyRequests(
                f"{self._limits.max_requests} requests run or wait already.",
                retry_after=self._appointments.make(),
            )
        if account is not None:
            account.admit(self._clock())
        self._under_way[caller] += 1
        self._appointments.take_place()

    def _leave(self, caller: str, account: Account | None) -> None:
        if account is not None:
            account.leave()
        self._under_way[caller] -= 1
        if not self._under_way[caller]:
            del self._under_way[caller]
        self._appointments.free_place()


class Appointments:
    """Tells the refused when to come back, each when another place is likely to be free.

    Places become free at the rate at which the last `window` did, measured in the time in which
    any was taken. While none becomes free, that rate falls.

    Args:
        window: how many freed places the rate is taken from.
        clock: seconds.
    """

    def __init__(self, window: int = 32, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken = 0
        self._busy = 0.0
        self._busy_since = 0.0
        self._freed = deque([0.0], maxlen=window + 1)
        self._last = 0.0

    def take_place(self) -> None:
        if not self._taken:
            self._busy_since = self._clock()
        self._taken += 1

    def free_place(self) -> None:
        self._freed.append(self._busy_time())
        self._taken -= 1
        if not self._taken:
            self._busy = self._freed[-1]

    def make(self) -> float:
        """Seconds from now to the next appointment."""
        now = self._clock()
        each = (self._busy_time() - self._freed[0]) / max(1, len(self._freed) - 1)
        self._last = min(max(self._last, now) + each, now + MAX_RETRY_AFTER)
        return self._last - now

    def _busy_time(self) -> float:
        return self._busy + (self._clock() - self._busy_since if self._taken else 0.0)
