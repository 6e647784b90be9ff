from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_llama.files.hash import hash_file
from edge_llama.weights.store.checksum import check_file
from edge_llama.weights.store.record import StoredFile

CHUNK = 100


def stored(path: Path) -> StoredFile:
    found = hash_file(path, chunk_size=CHUNK)
    return StoredFile(path, found.size, found.sha256, found.chunk_sha256, CHUNK)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=50,
)
@given(content=st.binary(max_size=1000), chunk=st.integers(1, 1100))
def test_the_whole_and_its_chunks(tmp_path: Path, content: bytes, chunk: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    counts: list[int] = []
    found = hash_file(path, chunk_size=chunk, on_bytes=counts.append)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.chunk_sha256 == tuple(
        hashlib.sha256(content[at : at + chunk]).hexdigest() for at in range(0, len(content), chunk)
    )
    assert found.size == len(content) == sum(counts)


def test_a_chunk_larger_than_the_buffer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * 40_000
    path.write_bytes(content)
    found = hash_file(path, chunk_size=6 << 20)
    assert found.chunk_sha256 == tuple(
        hashlib.sha256(part).hexdigest() for part in (content[: 6 << 20], content[6 << 20 :])
    )


@pytest.mark.parametrize(
    ("flipped", "ranges"),
    [
        ([0], [(0, 100)]),
        ([99, 100], [(0, 200)]),
        ([50, 350], [(0, 100), (300, 400)]),
        ([449], [(400, 450)]),
    ],
)
def test_damaged_chunks_are_named(
    tmp_path: Path, flipped: list[int], ranges: list[tuple[int, int]]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(450))
    file = stored(path)
    content = bytearray(450)
    for at in flipped:
        content[at] = 1
    path.write_bytes(content)
    report = check_file(file)
    assert (report.state, list(report.damaged)) == ("damaged", ranges)


def test_a_file_that_is_cut_off_lacks_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(450))
    file = stored(path)
    path.write_bytes(bytes(230))
    assert check_file(file).damaged == ((200, 450),)


def test_a_file_that_is_too_long_has_a_range_too_many(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(400))
    file = stored(path)
    path.write_bytes(bytes(430))
    assert check_file(file).damaged == ((400, 430),)


def test_without_chunks_the_whole_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"other")
    file = StoredFile(path, 5, hashlib.sha256(b"bytes").hexdigest())
    assert check_file(file).damaged == ((0, 5),)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    assert check_file(StoredFile(tmp_path / "gone", 5, "0" * 64)).state == "missing"


def test_what_the_callback_raises_ends_the_work(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    calls = 0

    def interrupt(count: int) -> None:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_file(path, chunk_size=CHUNK, on_bytes=interrupt)
    assert calls == 1
