"""The Host header: names under which this server may be asked.

A web page whose own name was made to point at this machine (DNS rebinding) reaches the server with
that name in the Host header. It cannot do that with an address, so those are all allowed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_llama.api.errors import HostNotAllowed, error_response

ANY = "*"


class HostMiddleware:
    """Lets requests pass whose Host is an address, a loopback name or one of `allowed`.

    Others get a 421. A request without a Host, as old clients send it, passes: browsers name it.

    Args:
        app: what is guarded.
        allowed: more names; `*` lets every request pass.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(name.casefold().rstrip(".") for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._passes(Headers(scope=scope).getlist("host")):
            await self._app(scope, receive, send)
        else:
            error = HostNotAllowed(
                "This server does not answer under the name in the request's Host header. Use its "
                "address, or add the name to `allowed_hosts`."
            )
            await error_response(error)(scope, receive, send)

    def _passes(self, hosts: Collection[str]) -> bool:
        return ANY in self._allowed or all(self._allows(_name(host)) for host in hosts)

    def _allows(self, name: str) -> bool:
        return (
            name in self._allowed
            or name == "localhost"
            or name.endswith(".localhost")
            or _is_address(name)
        )


def _name(host: str) -> str:
    """The Host header without its port."""
    name, colon, port = host.rpartition(":")
    if colon and (not port or port.isdecimal()) and (":" not in name or name.endswith("]")):
        host = name
    return host.casefold().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name)
    except ValueError:
        return False
    return True
