"""Downloads in processes of their own: killed, side by side, offline."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_llama.weights.store.store import Store
from tests.effort import PATIENCE
from tests.mock_hub import MockHub, gguf_bytes, mock_hub

KILLS = int(os.environ.get("EDGE_LLAMA_TEST_KILLS", "12"))
REPOSITORY = "owner/Llama-GGUF"
NAMES = tuple(f"model-Q8_0-0000{n}-of-00002.gguf" for n in (1, 2))
FILES = {name: gguf_bytes(3 << 20, seed) for seed, name in enumerate(NAMES)}
IN_FLIGHT = 512 << 10
"""Bytes that the mock hub sent and a killed client never read: what loopback sockets hold."""

PULL = textwrap.dedent(
    f"""
    import sys
    from pathlib import Path
    from edge_llama.weights.download.download import pull
    from edge_llama.weights.store.store import Store
    from edge_llama.weights.catalog.variant import Variant, WeightFile

    files = tuple(WeightFile(name) for name in {NAMES!r})
    variant = Variant({REPOSITORY!r}, "Q8_0", files)
    phases = set()

    def note(progress):
        if progress.phase not in phases:
            phases.add(progress.phase)
            Path(sys.argv[1]).with_name(progress.phase).touch()

    model = pull(variant, Store(Path(sys.argv[1])), on_progress=note)
    print(model.id, "waited" if "wait" in phases else "")
    """
)


@pytest.fixture
def hub() -> Iterator[MockHub]:
    with mock_hub() as hub:
        hub.add(REPOSITORY, FILES)
        yield hub


def start(hub: MockHub, home: Path, code: str = PULL) -> subprocess.Popen[str]:
    """A process that pulls into `home / "models"`."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf"), "HF_TOKEN": "hf_secret"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(home / "models")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    return out


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_killed_at_any_point_it_goes_on(hub: MockHub, tmp_path: Path) -> None:
    chance = random.Random(13)
    store = Store(tmp_path / "models")
    incoming = store.root / ".incoming"
    total = sum(map(len, FILES.values()))
    hub.throttle = 8e6
    downloads = 1
    for _ in range(KILLS):
        before = hub.served
        process = start(hub, tmp_path)
        # Most of a process's time goes by before its first byte: the clock starts with that.
        while hub.served == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
        assert len(files_in(incoming)) <= len(FILES)
        for model in store.installed():
            store.remove(model)
            downloads += 1
    hub.throttle = None
    finish(start(hub, tmp_path))
    (model,) = store.installed()
    for file, content in zip(model.files, FILES.values(), strict=True):
        assert hashlib.sha256(file.path.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert files_in(incoming) == []
    assert len(files_in(store.root / REPOSITORY)) == len(FILES) + 1
    assert hub.served <= downloads * total + KILLS * len(FILES) * IN_FLIGHT
    assert not (tmp_path / "hf").exists()
    print(f"{KILLS} kills, {downloads} downloads of {total}, {hub.served} bytes sent")


def test_two_processes_make_one_download(hub: MockHub, tmp_path: Path) -> None:
    hub.throttle = 1e5
    first, second = start(hub, tmp_path), start(hub, tmp_path)
    while not (tmp_path / "wait").exists() and first.poll() is second.poll() is None:
        time.sleep(0.002)
    hub.throttle = None
    said = sorted([finish(first).split(), finish(second).split()], key=len)
    assert said == [["model-Q8_0"], ["model-Q8_0", "waited"]]
    assert len(hub.requests_to("cdn")) == len(FILES)
    assert hub.served == sum(map(len, FILES.values()))


def test_what_is_installed_opens_no_connection(hub: MockHub, tmp_path: Path) -> None:
    finish(start(hub, tmp_path))
    watch = textwrap.dedent(
        """
        import sys

        def watch(event, args):
            if event.startswith("socket."):
                raise SystemExit(f"{event} {args}")

        sys.addaudithook(watch)
        """
    )
    look = textwrap.dedent(
        """
        store = Store(Path(sys.argv[1]))
        assert store.find("model-Q8_0") == store.installed()[0] == model
        assert all(report.state == "ok" for report in store.verify(model))
        assert "huggingface_hub" not in sys.modules
        """
    )
    hub.requests.clear()
    finish(start(hub, tmp_path, watch + PULL + look))
    assert hub.requests == []
