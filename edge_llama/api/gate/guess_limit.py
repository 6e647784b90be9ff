"""GuessLimit: how often a client may be wrong about the API key."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_CLIENTS = 4096


class GuessLimit:
    """A bucket of guesses for each client address, which refills slowly.

    Args:
        burst: wrong keys that are answered as such.
        seconds: in which one more is.
        clock: seconds.
    """

    def __init__(
        self, burst: int = 10, seconds: float = 6.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._seconds = seconds
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When the bucket of a client is full again."""

    def wrong(self, client: str) -> float:
        """Take a guess of `client`; seconds until there is one, if there is none left."""
        now = self._clock()
        network = _network(client)
        full_at = max(now, self._full_at.pop(network, now))
        wait = full_at + self._seconds - (now + self._burst * self._seconds)
        self._full_at[network] = full_at if wait > 0 else full_at + self._seconds
        if len(self._full_at) > MAX_CLIENTS:
            self._full_at.popitem(last=False)
        return max(0.0, wait)


def _network(client: str) -> str:
    """The address; of IPv6, what one household has."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(ipaddress.ip_network((address.packed, 64), strict=False))
