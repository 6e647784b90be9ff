"""How the server tells of itself, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class ModelHealth(TypedDict):
    id: str
    state: str


class Health(TypedDict):
    """`status` is `ok`, or why the server cannot take requests."""

    status: str
    models: list[ModelHealth]


class Status(TypedDict):
    status: Literal["ok"]
