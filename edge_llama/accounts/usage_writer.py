"""UsageWriter: has what was used written, at most a second after it was."""

from __future__ import annotations

import asyncio
import logging

from edge_llama.accounts.accounts import Accounts
from edge_llama.errors import StateError

logger = logging.getLogger(__name__)

SECONDS = 1.0


class UsageWriter:
    """Writes in a thread of its own, once a second in which something was used.

    What cannot be written is tried again; the log tells of it once.

    Args:
        accounts: what is written.
        seconds: between two writes.

    Attributes:
        failure: why the last attempt failed, or None.
    """

    def __init__(self, accounts: Accounts, seconds: float = SECONDS) -> None:
        self._accounts = accounts
        self._seconds = seconds
        self._used = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failure: str | None = None

    def wake(self) -> None:
        """Something was used."""
        self._used.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await asyncio.to_thread(self._accounts.close)
        except StateError as error:
            logger.error("%s The usage of the last moments is lost.", error)

    async def _run(self) -> None:
        while True:
            await self._used.wait()
            await asyncio.sleep(self._seconds)
            self._used.clear()
            batch = self._accounts.take()
            try:
                await asyncio.shield(asyncio.to_thread(self._accounts.write, batch))
            except StateError as error:
                self._accounts.give_back(batch)
                self.wake()
                if self.failure is None:
                    logger.error("%s Usage is kept in memory until it can be written.", error)
                self.failure = str(error)
            else:
                self.failure = None
