from __future__ import annotations

from starlette.requests import Request

from edge_llama.api.endpoints import ROOT_ENDPOINTS, V1_ENDPOINTS
from edge_llama.api.state.app_state import state_of
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import app_for
from tests.fakes import FakeEngine


def test_an_app_and_its_requests_have_one_state() -> None:
    settings = ServerSettings(port=0)
    app = app_for(FakeEngine(), settings)
    state = state_of(app)
    assert state_of(Request({"type": "http", "app": app})) is state
    assert state.settings is settings
    assert (state.root_endpoints, state.v1_endpoints) == (ROOT_ENDPOINTS, V1_ENDPOINTS)
    assert [model.id for model in state.registry] == ["demo"]
    assert not state.stopping


def test_apps_do_not_share_it() -> None:
    one, two = app_for(FakeEngine()), app_for(FakeEngine())
    state_of(one).stopping = True
    assert not state_of(two).stopping
