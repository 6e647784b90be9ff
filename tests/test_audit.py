"""`make audit`: a fault fails it, a service that cannot be reached is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
FAULTS = json.dumps({"vulns": [{"id": "X-1"}]}).encode()


@contextmanager
def service(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def audit(url: str, folder: Path, code: int) -> subprocess.CompletedProcess[str]:
    """Run it with a pip-audit that ends with `code`."""
    told = f"import sys\nprint('looked up', *sys.argv[1:])\nsys.exit({code})\n"
    (folder / "pip_audit.py").write_text(told)
    return subprocess.run(
        [sys.executable, SCRIPT, url, "site-packages"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_PROXY": "*"},
    )


@pytest.mark.parametrize("code", [0, 1])
def test_a_fault_fails_it(tmp_path: Path, code: int) -> None:
    with service(200, FAULTS) as url:
        ended = audit(url, tmp_path, code)
    assert ended.returncode == code
    assert f"--path site-packages -s osv --osv-url {url}" in ended.stdout


@pytest.mark.parametrize(
    ("status", "body"), [(404, b""), (500, b"{}"), (200, b"<html>"), (200, b"{}")]
)
def test_a_service_that_knows_nothing_is_told_from_good_news(
    tmp_path: Path, status: int, body: bytes
) -> None:
    with service(status, body) as url:
        ended = audit(url, tmp_path, code=1)
    assert ended.returncode == 0
    assert ended.stdout == (
        f"{url} could not be reached: known faults of the dependencies were not looked up.\n"
    )


def test_nobody_listens(tmp_path: Path) -> None:
    with service(200, FAULTS) as url:
        pass
    ended = audit(url, tmp_path, code=1)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "could not be reached" in ended.stdout
