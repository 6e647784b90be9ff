"""RequestState: what becomes known of a request on its way to its endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Scope

from edge_llama.accounts.account import Account

_KEY = "edge_llama"


@dataclass(slots=True)
class RequestState:
    """What becomes known of a request on its way to its endpoint.

    Attributes:
        id: for the log and the x-request-id header.
        caller: tells who asks from others; empty if no key is needed.
        account: what he uses, if that is counted.
        ignored: paths of the body's fields that are not used.
    """

    id: str
    caller: str = ""
    account: Account | None = None
    ignored: Sequence[str] = ()


def begin_request(scope: Scope, id: str) -> None:
    """Have `request_state` find a new state in `scope`."""
    scope.setdefault("state", {})[_KEY] = RequestState(id)


def request_state(scope: Scope) -> RequestState:
    """The state of a request that has begun."""
    state = scope["state"][_KEY]
    assert isinstance(state, RequestState)
    return state
