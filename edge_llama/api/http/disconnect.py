"""Work that ends when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from edge_llama.api.errors import ClientDisconnected, ServerStopping

T = TypeVar("T")


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client goes away.

    Args:
        receive: the request's, its body read to the end.
        work: what to run.

    Raises:
        ClientDisconnected: the client went away first.
        ServerStopping: the server ended the request, which it does when its patience at a
            shutdown is over; nobody else cancels requests.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    except asyncio.CancelledError:
        raise ServerStopping("The server is stopping.") from None
    finally:
        await cancel(task, watch)
        # An error that it raises knows this frame, and would keep itself and the request alive.
        del task


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel `tasks` and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
