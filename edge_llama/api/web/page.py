"""GET /: a page to chat on, which is the same for everybody and holds nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse

INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


async def chat_page(request: Request) -> HTMLResponse:
    text, policy = _page()
    return HTMLResponse(
        text,
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def _page() -> tuple[str, str]:
    """The page, and the policy that lets a browser run what is in it and ask this server only."""
    text = files(__package__).joinpath("chat.html").read_text("utf-8")
    sources = {kind: f"'sha256-{_digest(content)}'" for kind, content in INLINE.findall(text)}
    policy = (
        f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
