from __future__ import annotations

import httpx
import pytest


@pytest.mark.parametrize("path", ["/health", "/nothing", "/v1/models"])
async def test_an_id_is_echoed_or_made(client: httpx.AsyncClient, path: str) -> None:
    given = await client.get(path, headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    made = [(await client.get(path)).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert made[0].startswith("req_")


@pytest.mark.parametrize("unusable", ["", "a b", "x" * 129, "é"])
async def test_an_unusable_id_is_replaced(client: httpx.AsyncClient, unusable: str) -> None:
    response = await client.get("/health", headers={b"x-request-id": unusable.encode("latin-1")})
    assert response.headers["x-request-id"].startswith("req_")
