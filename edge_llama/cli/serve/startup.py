"""From a listening server to one whose model answers."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from edge_llama.chat.model import ChatModel
from edge_llama.errors import EdgeLlamaError, EngineUnavailable

logger = logging.getLogger(__name__)


class Startup:
    """Waits for the first model of a server; ends the server if it cannot be loaded.

    Args:
        use: a lease of that model, from the server's pool.
        on_ready: called with the server's URL once the model is loaded.
    """

    def __init__(
        self,
        use: Callable[[], AbstractAsyncContextManager[ChatModel]],
        on_ready: Callable[[str], None],
    ) -> None:
        self._use = use
        self._on_ready = on_ready
        self._failure: EdgeLlamaError | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, host: str, port: int) -> None:
        """Start waiting; called in the server's event loop when it listens."""
        self._task = asyncio.get_running_loop().create_task(self._wait(url_of(host, port)))

    def raise_failure(self) -> None:
        """After the server ended.

        Raises:
            EdgeLlamaError: it ended because the model could not be loaded.
        """
        if self._failure is not None:
            raise self._failure

    async def _wait(self, url: str) -> None:
        try:
            async with self._use():
                self._tell(url)
        except EngineUnavailable:
            return  # the server was stopped while the model was loading
        except EdgeLlamaError as error:
            self._failure = error
            signal.raise_signal(signal.SIGINT)

    def _tell(self, url: str) -> None:
        try:
            self._on_ready(url)
        except OSError as error:  # such as a full disk below stdout
            logger.warning("The server is ready, which stdout cannot tell: %s", error)


def url_of(host: str, port: int) -> str:
    """The URL under which a server that listens on `host` is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
