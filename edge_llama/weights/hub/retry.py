"""Trying again what fails for a moment: how often, and after how long."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from edge_llama.errors import HubUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """How patient a download is.

    Attributes:
        attempts: how often in a row the same bytes are asked for.
        first_wait: seconds before the second attempt; doubles with each one after it.
        longest_wait: seconds; also of what a server asks for with `Retry-After`.
        timeout: seconds without a byte that count as a failure; None is HF_HUB_DOWNLOAD_TIMEOUT.
        parallel: files at the same time.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float | None = None
    parallel: int = 4


class Unsteady(Exception):
    """Something failed that may work a little later; never leaves this package.

    Args:
        reason: a sentence without its full stop.
        retry_after: seconds that the server asked to wait.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Stopped(Exception):
    """The work was called off from another thread; never leaves this package."""


class Patience:
    """Counts failures in a row.

    Args:
        stop: ends a wait.
    """

    def __init__(self, settings: TransferSettings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._failures = 0

    def renew(self) -> None:
        """There was progress: the count begins again."""
        self._failures = 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Swallow an `Unsteady` of the block after a wait: the block is to be run again.

        Raises:
            HubUnavailable: there were enough attempts.
            Stopped: the work was called off.
        """
        try:
            yield
        except Unsteady as failure:
            self._failures += 1
            if self._failures >= self._settings.attempts:
                raise HubUnavailable(
                    f"{failure}. It was tried {self._failures} times; try again later."
                ) from failure
            wait = self._settings.first_wait * 2.0 ** (self._failures - 1)
            wait *= random.uniform(0.5, 1.0)  # noqa: S311 - so that clients do not return together
            wait = max(wait, failure.retry_after or 0.0)
            if self._stop.wait(min(wait, self._settings.longest_wait)):
                raise Stopped from failure

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to `question`, asked again as `attempt` allows."""
        while True:
            with self.attempt():
                return question()
