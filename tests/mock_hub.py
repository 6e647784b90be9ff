"""A Hugging Face hub on loopback, with faults on demand.

It speaks the parts of the hub's HTTP API that huggingface-hub uses for models: `/api/models/…`
with `blobs`, the tree listing, and `…/resolve/…` (HEAD, GET, Range), which redirects to a second
server, the "CDN", under another host name as the real hub does for large files.

```python
with mock_hub() as hub:
    hub.add("owner/repo", {"model-Q4_K_M.gguf": gguf_bytes(1 << 20)})
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.fault("status", status=429, headers={"Retry-After": "1"}, times=2, on="resolve")
    ...
    assert all("authorization" not in request.headers for request in hub.requests_to("cdn"))
```
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

Place = Literal["api", "resolve", "cdn"]
Kind = Literal["status", "html", "corrupt", "truncate", "short", "stall", "no range", "drop"]

_PIECE = 16 << 10


def gguf_bytes(size: int, seed: int = 0, *, kind: str = "") -> bytes:
    """A GGUF of `size` bytes, at least 129: one tensor of noise, and nothing that could be run.

    Args:
        kind: its `general.type`, up to seven letters.
    """
    start = 128 if kind else 96
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)
    if kind:
        text = kind.encode()
        head += struct.pack(f"<Q12sIQ{len(text)}s", 12, b"general.type", 8, len(text), text)
    else:
        head += struct.pack("<Q1sIB", 1, b"k", 0, 0)  # metadata: k = 0
    head += struct.pack("<Q1sIQIQ", 1, b"t", 1, size - start, 24, 0)  # tensor t: bytes, at 0
    return head.ljust(start, b"\0") + random.Random(seed).randbytes(size - start)


@dataclass(frozen=True)
class Request:
    """What a client sent.

    Attributes:
        place: who was asked: the hub's `api`, its `resolve` addresses, or the `cdn`.
        headers: names in lower case.
    """

    place: Place
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Fault:
    """What goes wrong; see `MockHub.fault`."""

    kind: Kind
    times: int
    on: Place
    match: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class _Repository:
    files: dict[str, bytes]
    commit: str
    gated: bool
    lfs: bool


class MockHub:
    """A hub and its CDN; see the module's example.

    Attributes:
        url: for HF_ENDPOINT.
        cdn_url: where large files come from; another host name.
        token: the one that opens gated repositories.
        requests: all that came so far, in order.
        served: bytes of files sent so far, by both servers.
        throttle: bytes a second for one connection; None is as fast as it goes.
        throttle_after: bytes that are sent as fast as it goes all the same, before the others.
        most_at_once: files that were on their way at the same time.
        tells_sizes: whether the listing has the sizes and checksums of files.
        redirects: whether `resolve` sends clients to the CDN; else it serves the file itself.
    """

    def __init__(self) -> None:
        self.token = "hf_mock_token"
        self.requests: list[Request] = []
        self.served = 0
        self.throttle: float | None = None
        self.throttle_after = 0
        self.most_at_once = 0
        self._at_once = 0
        self.redirects = True
        self.tells_sizes = True
        self._repositories: dict[tuple[str, str], _Repository] = {}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._hub = _Server(self, is_cdn=False)
        self._cdn = _Server(self, is_cdn=True)
        self.url = f"http://127.0.0.1:{self._hub.server_port}"
        self.cdn_url = f"http://localhost:{self._cdn.server_port}"

    def add(
        self,
        repository: str,
        files: dict[str, bytes],
        *,
        gated: bool = False,
        lfs: bool = True,
    ) -> str:
        """Put `files` (path → content) into a repository as a new commit, which becomes `main`.

        Older commits stay readable. Nothing checks the paths: hostile names are welcome.

        Args:
            gated: reading needs the header `Authorization: Bearer {hub.token}`.
            lfs: whether the listing has the sha256 of the files.

        Returns:
            The commit's hash.
        """
        digest = hashlib.sha1(repository.encode(), usedforsecurity=False)
        for path, content in files.items():
            digest.update(path.encode(errors="surrogatepass") + content)
        stored = _Repository(dict(files), digest.hexdigest(), gated, lfs)
        self._repositories[repository, "main"] = stored
        self._repositories[repository, stored.commit] = stored
        return stored.commit

    def fault(
        self,
        kind: Kind,
        *,
        times: int = 1,
        on: Place = "cdn",
        match: str = "",
        status: int = 500,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Let the next `times` requests to `on` whose path contains `match` go wrong.

        - `status`: an answer with that status and headers.
        - `html`: status 200 and a web page.
        - `corrupt`: the right size, one byte wrong (the last but 100 of what is sent).
        - `truncate`: the connection ends after half of the announced bytes.
        - `short`: announces and sends half of the file.
        - `stall`: half of the bytes, then nothing.
        - `no range`: the whole file with status 200, whatever range was asked for.
        - `drop`: the connection ends without an answer.
        """
        self._faults.append(Fault(kind, times, on, match, status, headers or {}))

    def requests_to(self, place: Place) -> list[Request]:
        """The requests that came to one place."""
        return [request for request in self.requests if request.place == place]

    def take_fault(self, place: Place, path: str) -> Fault | None:
        """The fault that this request gets."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.on == place and fault.match in path:
                    fault.times -= 1
                    return fault
        return None

    def find(self, repository: str, revision: str) -> _Repository | None:
        """What is in a repository at a branch or commit."""
        return self._repositories.get((repository, revision))

    def count(self, sent: int) -> None:
        """Add to `served`."""
        with self._lock:
            self.served += sent

    @contextmanager
    def on_its_way(self) -> Iterator[None]:
        """A file is being sent."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def start(self) -> None:
        """Serve from now on."""
        for server in (self._hub, self._cdn):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop serving and wait for running answers."""
        self.closing.set()
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()


@contextmanager
def mock_hub() -> Iterator[MockHub]:
    """A hub that serves until the block ends."""
    hub = MockHub()
    hub.start()
    try:
        yield hub
    finally:
        hub.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: MockHub, *, is_cdn: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.is_cdn = is_cdn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # The bytes of a header must not wait for the client's acknowledgement.
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        place: Place = (
            "cdn" if self.server.is_cdn else "api" if path.startswith("/api/") else "resolve"
        )
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append(Request(place, self.command, path, headers))
        fault = hub.take_fault(place, path)
        if fault is not None and fault.kind == "drop":
            self.close_connection = True
        elif fault is not None and fault.kind == "status":
            self._send(fault.status, b"", fault.headers)
        elif fault is not None and fault.kind == "html":
            page = b"<!DOCTYPE html><title>Log in to this network</title>"
            self._send(200, page, {"Content-Type": "text/html; charset=utf-8"})
        elif place == "api":
            self._api(path)
        else:
            self._file(path, place, fault)

    def _api(self, path: str) -> None:
        parts = path.split("/")[3:]  # "", "api", "models"
        repository, rest = "/".join(parts[:2]), parts[2:]
        revision = rest[1] if len(rest) > 1 else "main"
        stored = self.server.hub.find(repository, revision)
        if stored is None:
            known = self.server.hub.find(repository, "main") is not None
            code = "RevisionNotFound" if known else "RepoNotFound"
            self._send(404 if known else 401, b"", {"X-Error-Code": code})
            return
        files = [_listed(path, content, stored.lfs) for path, content in stored.files.items()]
        if not self.server.hub.tells_sizes:
            files = [{"rfilename": file["rfilename"]} for file in files]
        body: Any = {
            "id": repository,
            "modelId": repository,
            "sha": stored.commit,
            "gated": "manual" if stored.gated else False,
            "private": False,
            "tags": [],
            "downloads": 0,
            "siblings": files,
        }
        if rest and rest[0] == "tree":
            body = [{"type": "file", "path": file["rfilename"], **file} for file in files]
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _file(self, path: str, place: Place, fault: Fault | None) -> None:
        hub = self.server.hub
        owner, name, _, revision, file = path.lstrip("/").split("/", 4)
        stored = hub.find(f"{owner}/{name}", revision)
        if stored is None or file not in stored.files:
            code = "EntryNotFound" if stored else "RepoNotFound"
            self._send(404, b"", {"X-Error-Code": code})
            return
        content = stored.files[file]
        etag = _listed(file, content, stored.lfs)["etag"]
        if place == "resolve":
            token = self.headers.get("Authorization")
            if stored.gated and token != f"Bearer {hub.token}":
                code = "GatedRepo"
                self._send(403 if token else 401, b"", {"X-Error-Code": code})
                return
            if hub.redirects:
                self._send(
                    302,
                    b"",
                    {
                        "Location": f"{hub.cdn_url}{quote(path)}?signature=1",
                        "X-Repo-Commit": stored.commit,
                        "X-Linked-Size": str(len(content)),
                        "X-Linked-Etag": f'"{etag}"',
                    },
                )
                return
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": f'"{etag}"',
            "X-Repo-Commit": stored.commit,
        }
        self._content(content, headers, fault.kind if fault else None)

    def _content(self, content: bytes, headers: dict[str, str], fault: Kind | None) -> None:
        size = len(content)
        if fault == "short":
            content = content[: size // 2]
            size = len(content)
        status, start, end = 200, 0, size
        asked = self.headers.get("Range")
        if asked and fault != "no range":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, size) if last else size
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        body = bytearray(content[start:end])
        if fault == "corrupt":
            body[-100] ^= 0xFF
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        half = fault in ("truncate", "stall")
        with self.server.hub.on_its_way():
            self._pour(memoryview(body)[: len(body) // 2 if half else len(body)])
        if fault == "stall":
            self.server.hub.closing.wait(60)
        if half:
            self.close_connection = True

    def _pour(self, body: memoryview) -> None:
        hub = self.server.hub
        for at in range(0, len(body), _PIECE):
            if hub.closing.is_set():
                return
            piece = body[at : at + _PIECE]
            self.wfile.write(piece)
            hub.count(len(piece))
            if hub.throttle and hub.served >= hub.throttle_after:
                time.sleep(len(piece) / hub.throttle)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listed(path: str, content: bytes, lfs: bool) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    listed: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": blob}
    if lfs:
        listed["lfs"] = {"size": len(content), "sha256": sha256, "oid": sha256, "pointerSize": 134}
    return {**listed, "oid": blob, "etag": sha256 if lfs else blob}
