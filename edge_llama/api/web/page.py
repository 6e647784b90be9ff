"""GET /: a page to chat on, which is the same for everybody and holds nothing."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.requests import Request

from edge_llama.api.web.inline_page import InlinePage


async def chat_page(request: Request) -> InlinePage:
    return InlinePage(_html())


@cache
def _html() -> str:
    return files(__package__).joinpath("chat.html").read_text("utf-8")
