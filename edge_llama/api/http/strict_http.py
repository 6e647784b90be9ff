"""StrictHTTP: HTTP/1.1 without what two parsers read apart."""

from __future__ import annotations

import re

import h11

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 256
"""Each takes 7 µs to read, in which nobody else is served, and the shortest has five bytes."""
MAX_HELD_BYTES = 8 * 1024
"""Largest body that is waited for before its request begins."""

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FOLDED_LINE = re.compile(rb"\r\n[ \t]")


class StrictHTTP(h11.Connection):
    """Refuses what makes a proxy and this server see different requests in the same bytes."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEADER_BYTES)
        self._begun: h11.Request | None = None
        self._begun_length = 0

    @property
    def holds_back(self) -> bool:
        """A request has begun, and is not told of before it is whole."""
        return self._begun is not None

    @property
    def expects_more(self) -> bool:
        """A request has begun and is not whole."""
        return self.their_state is h11.SEND_BODY or (
            self.their_state is h11.IDLE and bool(self.trailing_data[0])
        )

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's, but a small request is told of when it is whole.

        Until then it costs its bytes and no more.

        Raises:
            h11.RemoteProtocolError: also for what RFC 9112 lets a server refuse: a line feed
                alone (2.2), folded lines (5.2), other versions (2.3), two ways to tell the body's
                length at once, and chunks in HTTP/1.0 (6.1); and for a head of more than
                `MAX_HEADER_BYTES`, also if it comes all at once, or of more than `MAX_HEADERS`.
        """
        if self._begun is not None:
            return self._whole()
        if self.their_state is h11.IDLE:
            head = self.trailing_data[0].partition(b"\r\n\r\n")[0]
            if _BARE_LINE_FEED.search(head):
                raise h11.RemoteProtocolError("a line ends with a line feed alone")
            if _FOLDED_LINE.search(head):
                raise h11.RemoteProtocolError("a header has several lines")
            if len(head) > MAX_HEADER_BYTES or head.count(b"\n") > MAX_HEADERS:
                raise h11.RemoteProtocolError("the headers are too long")
        event = super().next_event()
        if isinstance(event, h11.Request):
            _check_framing(event)
            self._begun, self._begun_length = event, self._small_length(event)
            return self._whole()
        if event is h11.NEED_DATA and _BARE_LINE_FEED.search(self.trailing_data[0]):
            raise h11.RemoteProtocolError("a line around a chunk ends with a line feed alone")
        return event

    def _whole(self) -> h11.Request | type[h11.NEED_DATA]:
        request = self._begun
        assert request is not None
        if len(self.trailing_data[0]) < self._begun_length:
            return h11.NEED_DATA
        self._begun = None
        return request

    def _small_length(self, request: h11.Request) -> int:
        """Bytes of its body that are waited for."""
        lengths = [int(value) for name, value in request.headers if name == b"content-length"]
        if not lengths or lengths[0] > MAX_HELD_BYTES or self.they_are_waiting_for_100_continue:
            return 0
        return lengths[0]


def _check_framing(request: h11.Request) -> None:
    if request.http_version not in (b"1.0", b"1.1"):
        raise h11.RemoteProtocolError("neither HTTP/1.0 nor HTTP/1.1")
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" not in names:
        return
    if b"content-length" in names:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
    if request.http_version == b"1.0":
        raise h11.RemoteProtocolError("chunks in HTTP/1.0")
