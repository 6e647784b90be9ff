"""ServerSettings: how the HTTP server behaves."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from edge_llama.errors import SettingsError
from edge_llama.settings.ranges import check_range

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")

ContextOverflow: TypeAlias = Literal["refuse", "truncate_oldest"]
"""What becomes of a conversation that is too long."""


class ApiKey(Protocol):
    """A key of which only a hash is known."""

    @property
    def name(self) -> str:
        """Whose it is."""
        ...

    @property
    def digest(self) -> bytes:
        """The hash."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask of the HTTP server, and how long it may take.

    Attributes:
        max_requests: most requests of one API key that run or wait.
        max_n: most choices of one request.
        max_body_bytes: largest request body; reading it holds up all other requests.
        max_connections: most connections that are served at a time; more replace idle ones, or get
            a 503. None is what the operating system's limit of open files leaves.
        receive_seconds: from the first byte of a request to its last, and from connecting to it.
        idle_seconds: how long a connection may stay open between two requests.
        stalled_seconds: how long a client may leave what is ready of its answer unread.
    """

    max_requests: int = 132
    max_n: int = 8
    max_body_bytes: int = 2 * 1024 * 1024
    max_connections: int | None = None
    receive_seconds: float = 25.0
    idle_seconds: float = 75.0
    stalled_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_range("max_n", self.max_n, 1, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the HTTP server behaves.

    Attributes:
        host: address to listen on.
        port: 0 picks a free port.
        api_key: when set, every route but /health wants it, or one of `api_keys`, as a Bearer
            token.
        api_keys: more keys, looked at for each request, so that they may change.
        accounts: there are keys besides these, which are kept with what they use.
        insecure_no_key: allow an address that others can reach without any key.
        share_prefixes: let requests with different API keys share what is computed of prompts that
            begin alike; how fast an answer begins then tells whether another key sent its prompt.
        allowed_hosts: names besides this machine's loopback names and all addresses that requests
            may be sent to; `*` allows any.
        cors_origins: web pages of these origins may use the server from a browser; `*` is all.
        context_overflow: what becomes of a conversation that is too long, if its request does not
            tell: it is refused, or loses its oldest turns.
        strict: refuse requests that have a field which is not used.
        keep_alive_seconds: silence on a stream after which a newline is sent; a stream that is
            neither accepted nor refused by then gets its headers.
        drain_timeout: seconds that running requests may go on after the first signal to end.
        exit_with_parent: end when the process that started this one has ended.
        log_prompts: write request bodies to the log; nothing else ever shows what users say.
        limits: what clients may ask for.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    api_keys: Iterable[ApiKey] = ()
    accounts: bool = False
    insecure_no_key: bool = False
    share_prefixes: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    context_overflow: ContextOverflow = "refuse"
    strict: bool = False
    keep_alive_seconds: float = 10.0
    drain_timeout: float = 7.0
    exit_with_parent: bool = False
    log_prompts: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        check_range("port", self.port, 0, 65535)
        if self.api_key is not None:
            _check_api_key(self.api_key.strip())
        if not (self.guarded or self.insecure_no_key or is_loopback(self.host)):
            raise SettingsError(
                f"`host` {self.host} lets others in, and there is no API key. Set `api_key` or "
                "`api_keys`, or allow everyone with `insecure_no_key`."
            )
        if not 0 <= self.drain_timeout <= 3600:
            raise SettingsError(
                f"`drain_timeout` must be between 0 and 3600 seconds, not {self.drain_timeout:g}."
            )
        for host in self.allowed_hosts:
            _check_host(host)
        for origin in self.cors_origins:
            _check_origin(origin)

    @property
    def guarded(self) -> bool:
        """Whether requests need a key."""
        return self.accounts or self.api_key is not None or any(True for _ in self.api_keys)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def _check_api_key(key: str) -> None:
    if not key:
        raise SettingsError("`api_key` is empty. Give a key, or leave it out.")
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "`api_key` has characters that a header cannot carry. Take a key of ASCII letters, "
            "digits and signs."
        )


def _check_host(host: str) -> None:
    if host != "*" and not _HOST.fullmatch(host):
        raise SettingsError(
            f"`allowed_hosts` {host!r} is no name of a machine. Write it without scheme and port, "
            "such as llama.example.org, or * for any."
        )


def _check_origin(origin: str) -> None:
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise SettingsError(
            f"`cors_origins` {origin!r} is no origin. Write scheme, name and port as the browser "
            "does, such as https://app.example.org or http://localhost:3000, or * for any."
        )
