"""WebPageMiddleware: web pages of other origins that may use the server."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

ASKED = "access-control-request-private-network"
ALLOWED = "access-control-allow-private-network"


class WebPageMiddleware(CORSMiddleware):
    """CORS, and Chrome's question whether a public page may reach this machine.

    https://wicg.github.io/private-network-access/
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks before it sends; 400 refuses."""
        # Newer versions of the base refuse what they are not told to allow.
        others = [(name, value) for name, value in request_headers.raw if name != ASKED.encode()]
        response = super().preflight_response(Headers(raw=others))
        if request_headers.get(ASKED) == "true" and response.status_code == 200:
            response.headers[ALLOWED] = "true"
        return response
