"""AppState: what an app works with."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request

from edge_llama.accounts.accounts import Accounts
from edge_llama.accounts.usage_writer import UsageWriter
from edge_llama.api.endpoint import Endpoint
from edge_llama.pool.registry import ModelRegistry
from edge_llama.settings.server import ServerSettings


@dataclass(kw_only=True, slots=True)
class AppState:
    """What an app works with; all but `stopping` stays as it is.

    Attributes:
        registry: the models that are served.
        settings: how the server behaves.
        root_endpoints: those with whole addresses.
        v1_endpoints: those that are served below `/v1` and below the project's prefix.
        accounts: keys and what they use, if that is counted.
        usage_writer: has it written.
        stopping: nothing new is begun any more.
    """

    registry: ModelRegistry
    settings: ServerSettings
    root_endpoints: tuple[Endpoint, ...] = ()
    v1_endpoints: tuple[Endpoint, ...] = ()
    accounts: Accounts | None = None
    usage_writer: UsageWriter | None = None
    stopping: bool = False


def give_state(app: Starlette, state: AppState) -> None:
    """Have `state_of` find `state` in `app`."""
    app.state.edge_llama = state


def state_of(place: Starlette | Request) -> AppState:
    """The state of an app, or of the app that was asked."""
    app = place if isinstance(place, Starlette) else place.app
    state = app.state.edge_llama
    assert isinstance(state, AppState)
    return state
