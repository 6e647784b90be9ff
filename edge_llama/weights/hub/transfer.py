"""Bytes of a remote file into the same place of a local one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from io import FileIO

from edge_llama.errors import WeightsError
from edge_llama.weights.gguf.header import MAGIC
from edge_llama.weights.hub.http_get import Response, get
from edge_llama.weights.hub.retry import Patience, Stopped, TransferSettings, Unsteady

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_PROGRESS = 1 << 20  # bytes that count as progress, so that a server cannot drip for ever


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        name: for messages.
        url: where to ask for it; may redirect.
        size: bytes.
        identity: changes when the content does; a partial file of another identity is useless.
        sha256: lower-case hex; None if unknown.
        headers: for `url` alone; a token does not follow a redirect to another host.
        refusal: the error for a status that is not 2xx and that trying again would not change.
    """

    name: str
    url: str
    size: int
    identity: str
    refusal: Callable[[Response], WeightsError]
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch(
    remote: RemoteFile,
    file: FileIO,
    start: int,
    end: int,
    *,
    settings: TransferSettings,
    stop: threading.Event,
    on_bytes: Callable[[int], None],
) -> None:
    """Copy the bytes from `start` to `end` to the same place in `file`.

    Every piece is in the file before the next one is asked for, so that a kill loses no more than
    what was on its way.

    Raises:
        WeightsError: the server refuses, or fails too often.
        Stopped: `stop` was set.
        OSError: the file cannot be written.
    """
    patience = Patience(settings, stop)
    position = renewed = start
    file.seek(start)
    while position < end:
        with (
            patience.attempt(),
            closing(_pieces(remote, position, end, settings.timeout)) as pieces,
        ):
            for piece in pieces:
                if stop.is_set():
                    raise Stopped
                _write(file, piece)
                position += len(piece)
                on_bytes(len(piece))
                if position - renewed >= _PROGRESS:
                    patience.renew()
                    renewed = position


def _write(file: FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _pieces(
    remote: RemoteFile, start: int, end: int, timeout: float | None
) -> Generator[bytes, None, None]:
    """The bytes from `start` to `end` as they come in."""
    headers = {**remote.headers, "accept-encoding": "identity"}
    if start > 0 or end < remote.size:
        headers["range"] = f"bytes={start}-{end - 1}"
    position = start
    with get(remote.url, headers, timeout, name=remote.name, refusal=remote.refusal) as response:
        skip = _bytes_before(remote, response, start)
        for piece in response.iter_raw():
            if skip >= len(piece):
                skip -= len(piece)
                continue
            wanted = piece[skip:][: end - position]
            skip = 0
            if position == 0 and not wanted.startswith(MAGIC[: len(wanted)]):
                raise Unsteady(f"{remote.name} came as something else than a GGUF file")
            if wanted:
                yield wanted
            position += len(wanted)
            if position == end:
                return
    raise Unsteady(f"{remote.name} came with too few bytes")


def _bytes_before(remote: RemoteFile, response: Response, start: int) -> int:
    """How many bytes of the body come before `start`; sees that it is the right file at all."""
    headers = response.headers
    if response.status_code == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if match is None or int(match[1]) != start or match[2] not in ("*", str(remote.size)):
            raise Unsteady(f"{remote.name} came with other bytes than were asked for")
        return 0
    if (length := headers.get("content-length", str(remote.size))) != str(remote.size):
        raise Unsteady(f"{remote.name} has {remote.size} bytes and came with {length}")
    return start
