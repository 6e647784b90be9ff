from __future__ import annotations

from typing import Any

from edge_llama.api.state.request_state import RequestState, begin_request, request_state


def test_a_request_begins_with_its_id() -> None:
    scope: dict[str, Any] = {"type": "http"}
    begin_request(scope, "req_1")
    assert request_state(scope) == RequestState("req_1", caller="", ignored=())
    request_state(scope).caller = "alice"
    assert request_state(scope).caller == "alice"


def test_requests_of_one_server_do_not_share_it() -> None:
    """Servers give each request a flat copy of what the lifespan put there."""
    lifespan: dict[str, Any] = {"more": 1}
    scopes: list[dict[str, Any]] = [{"state": lifespan.copy()} for _ in range(2)]
    for number, scope in enumerate(scopes):
        begin_request(scope, str(number))
        request_state(scope).ignored = [f"field{number}"]
    assert [request_state(scope).ignored for scope in scopes] == [["field0"], ["field1"]]
    assert lifespan == {"more": 1}
