"""InlinePage: a page that brings its style and script along and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re

from starlette.responses import HTMLResponse

INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class InlinePage(HTMLResponse):
    """HTML with a policy that lets a browser run what is in it, and ask this server only."""

    def __init__(self, html: str) -> None:
        headers = {
            "Content-Security-Policy": _policy(html),
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        super().__init__(html, headers=headers)


def _policy(html: str) -> str:
    sources = {kind: f"'sha256-{_digest(content)}'" for kind, content in INLINE.findall(html)}
    own = [f"{kind}-src {source}" for kind, source in sources.items()]
    asking = ["connect-src 'self'"] if "script" in sources else []
    rest = ["img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join(["default-src 'none'", *own, *asking, *rest])


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
