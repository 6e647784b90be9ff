from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_llama.accounts.key import hash_key
from edge_llama.api.gate.key_file import MAX_SIZE, KeyFile, add_key, read_keys
from edge_llama.errors import SettingsError
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.effort import PATIENCE, at_most
from tests.fakes import FakeEngine

HASH = hashlib.sha256(b"sk-x").hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_key_is_only_shown_once(path: Path) -> None:
    first, second = add_key(path, "alice"), add_key(path, "bob@example.org")
    assert len(first) > 40
    assert first != second
    assert [key.name for key in read_keys(path)] == ["alice", "bob@example.org"]
    assert [key.digest for key in read_keys(path)] == [hash_key(first), hash_key(second)]
    assert first[3:] not in path.read_text()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_each_of_several_keys_opens_and_is_somebody_else(path: Path) -> None:
    keys = [add_key(path, name) for name in ("alice", "bob")]
    engine = FakeEngine()
    settings = ServerSettings(api_key="sk-mine", api_keys=read_keys(path))
    client = client_for(engine, settings)
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
    for key in (*keys, "sk-mine"):
        headers = {"Authorization": f"Bearer {key}"}
        reply = await client.post("/v1/chat/completions", json=body, headers=headers)
        assert reply.status_code == 200
    assert len({request.options.cache_domain for request in engine.submitted}) == 3
    wrong = {"Authorization": f"Bearer {keys[0][:-1]}"}
    assert (await client.get("/v1/models", headers=wrong)).status_code == 401


def test_comments_and_empty_lines_do_not_matter(path: Path) -> None:
    path.write_text(f"# Keys\n\n  alice   sha256:{HASH}  \r\n\n")
    assert [key.name for key in read_keys(path)] == ["alice"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no API key"),
        ("# none\n", "has no API key"),
        ("alice sk-secret\n", "line 1: not of the form"),
        (f"alice sha256:{HASH}\nbob sha256:{HASH[1:]}\n", "line 2: not of the form"),
        (f"alice sha256:{HASH}\nalice sha256:{HASH}\n", "two API keys for alice"),
        (f"a b sha256:{HASH}\n", "line 1"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_wrong_file_is_told_without_what_is_in_it(path: Path, text: str, said: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=said) as caught:
        read_keys(path)
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_told(path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_keys(path)
    with pytest.raises(SettingsError, match="cannot be written"):
        add_key(path / "in" / "nowhere", "alice")


@pytest.mark.parametrize("name", ["", "a b", "#a", "a" * 65, "ä", "a\n"])
def test_a_name_that_cannot_be_used(path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name an API key"):
        add_key(path, name)
    assert not path.exists()


def test_a_name_that_is_taken(path: Path) -> None:
    add_key(path, "alice")
    before = path.read_text()
    with pytest.raises(SettingsError, match="already"):
        add_key(path, "alice")
    assert path.read_text() == before


def test_a_byte_order_mark_does_not_matter(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + f"alice sha256:{HASH}\n".encode())
    assert [key.name for key in read_keys(path)] == ["alice"]


def test_forty_thousand_keys_are_read_at_once(path: Path) -> None:
    path.write_text("".join(f"user-{n} sha256:{HASH}\n" for n in range(40_000)))
    with at_most(1000):
        assert len(read_keys(path)) == 40_000


def test_a_link_to_a_file_is_followed(path: Path) -> None:
    add_key(path, "alice")
    link = path.with_name("link")
    link.symlink_to(path)
    assert [key.name for key in read_keys(link)] == ["alice"]


def make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, MAX_SIZE + 1)


ODD: dict[str, Callable[[Path], object]] = {"4 MiB": make_huge}
if os.name == "posix":
    ODD["no regular file"] = os.mkfifo


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("said", ODD)
def test_what_is_no_file_of_keys_is_not_waited_for(
    path: Path, caplog: pytest.LogCaptureFixture, said: str
) -> None:
    add_key(path, "alice")
    keys = KeyFile(path)
    path.unlink()
    ODD[said](path)
    for _ in range(3):
        assert names(keys) == ["alice"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert said in caplog.text
    with pytest.raises(SettingsError, match=said):
        KeyFile(path)
    with pytest.raises(SettingsError, match=said):
        add_key(path, "bob")


def remove_first_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def names(keys: KeyFile) -> list[str]:
    return [key.name for key in keys]


def test_keys_come_and_go_with_the_lines_of_the_file(path: Path) -> None:
    add_key(path, "alice")
    keys = KeyFile(path)
    assert names(keys) == ["alice"]
    add_key(path, "bob")
    assert names(keys) == ["alice", "bob"]
    remove_first_line(path)
    assert names(keys) == ["bob"]


@pytest.mark.parametrize("broken", ["alice sha256:12", "", None])
def test_a_broken_change_is_told_once_and_keeps_the_keys(
    path: Path, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    add_key(path, "alice")
    keys, whole = KeyFile(path), path.read_text()
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    for _ in range(3):
        assert names(keys) == ["alice"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "stay as they were" in caplog.text
    path.write_text(whole.replace("alice", "carol"))
    assert names(keys) == ["carol"]
    assert len(caplog.records) == 1


def test_a_file_that_is_broken_from_the_start_is_refused(path: Path) -> None:
    path.write_text("alice")
    with pytest.raises(SettingsError, match="line 1"):
        KeyFile(path)


async def test_a_key_that_is_removed_opens_no_more(path: Path) -> None:
    key, other = add_key(path, "alice"), add_key(path, "bob")
    client = client_for(FakeEngine(), ServerSettings(api_keys=KeyFile(path)))

    async def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return (await client.get("/v1/models", headers=headers)).status_code

    assert [await status(key), await status(other)] == [200, 200]
    remove_first_line(path)
    assert [await status(key), await status(other)] == [401, 200]
