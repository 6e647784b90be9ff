from __future__ import annotations

import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_llama.accounts.accounts import Accounts
from edge_llama.accounts.key import hash_key
from edge_llama.accounts.key_store import KeyStore
from edge_llama.accounts.limits import KeyLimits
from edge_llama.accounts.state_file import StateFile
from edge_llama.accounts.usage import DAY, Spent, read_usage
from edge_llama.errors import LimitReached, SettingsError, StateError

NOON = 20_000 * DAY + DAY // 2


class Clock:
    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state" / "state.sqlite3")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_running_server_obeys_at_once(file: StateFile, clock: Clock) -> None:
    accounts, store = Accounts(file, clock=clock), KeyStore(file, clock)
    key, secret = store.create("alice", KeyLimits(rpm=5))
    found = accounts.find(hash_key(secret))
    assert found is not None
    assert found.key == key
    store.set_limits("alice", KeyLimits(rpm=6))
    again = accounts.find(hash_key(secret))
    assert again is found
    assert again.limits.rpm == 6
    store.revoke("alice")
    assert accounts.find(hash_key(secret)) is None
    assert not [*accounts]


def test_a_rotated_key_opens_for_a_time(file: StateFile, clock: Clock) -> None:
    accounts, store = Accounts(file, clock=clock), KeyStore(file, clock)
    _, old = store.create("alice")
    _, new = store.rotate("alice", old_valid=60)
    assert accounts.find(hash_key(new)) is accounts.find(hash_key(old)) is not None
    clock.now += 60
    assert accounts.find(hash_key(old)) is None
    assert accounts.find(hash_key(new)) is not None
    _, newest = store.rotate(store.get("alice").id)
    assert accounts.find(hash_key(new)) is None
    assert accounts.find(hash_key(newest)) is not None


def test_a_key_expires(file: StateFile, clock: Clock) -> None:
    accounts, store = Accounts(file, clock=clock), KeyStore(file, clock)
    _, secret = store.create("alice", KeyLimits(expires=clock.now + 10))
    assert accounts.find(hash_key(secret)) is not None
    clock.now += 10
    assert accounts.find(hash_key(secret)) is None


def test_names(file: StateFile) -> None:
    store = KeyStore(file)
    store.create("alice")
    with pytest.raises(SettingsError, match="keys rotate alice"):
        store.create("alice")
    with pytest.raises(SettingsError, match="cannot name"):
        store.create("a b")
    with pytest.raises(SettingsError, match="There are alice"):
        store.get("bob")
    store.revoke("alice")
    store.create("alice")
    with pytest.raises(SettingsError, match="was revoked"):
        store.rotate(next(iter(store)).id)


def test_a_restart_forgets_neither_usage_nor_limits(file: StateFile, clock: Clock) -> None:
    store = KeyStore(file, clock)
    key, secret = store.create("alice", KeyLimits(rpm=2, tpm=100, tokens_per_day=150))
    accounts = Accounts(file, clock=clock)
    alice = accounts.find(hash_key(secret))
    assert alice is not None
    for _ in range(2):
        alice.admit(clock.now)
    running = alice.hold("m", 10, 80, clock.now)
    running.use(Spent(completion_tokens=40, cached_tokens=4), clock.now)
    accounts.write(accounts.take())
    # Now it is killed: nothing is settled.
    clock.now += 5
    after = Accounts(file, clock=clock)
    alice = after.find(hash_key(secret))
    assert alice is not None
    with pytest.raises(LimitReached, match="2 requests a minute"):
        alice.admit(clock.now)
    with pytest.raises(LimitReached, match="100 tokens a minute"):
        alice.hold("m", 51, 0, clock.now)
    alice.hold("m", 50, 0, clock.now).settle(clock.now)
    clock.now += 61
    with pytest.raises(LimitReached, match="50 are left until midnight"):
        alice.hold("m", 51, 0, clock.now)
    after.close()
    [row] = read_usage(file.connect(), "model", key=key.id)
    assert row.group == "m"
    assert row.usage == Spent(
        requests=2, prompt_tokens=60, cached_tokens=4, completion_tokens=40, cents=0
    )


def test_usage_in_groups(file: StateFile, clock: Clock) -> None:
    store = KeyStore(file, clock)
    secrets = [store.create(name)[1] for name in ("alice", "bob")]
    accounts = Accounts(file, clock=clock)
    for secret in secrets:
        for model in ("a", "b"):
            account = accounts.find(hash_key(secret))
            assert account is not None
            account.hold(model, 10, 0, clock.now)
            clock.now += DAY
    accounts.close()
    connection = file.connect()
    by_model = read_usage(connection, "model")
    assert [(row.group, row.usage.prompt_tokens) for row in by_model] == [("a", 20), ("b", 20)]
    assert len(read_usage(connection, "key")) == 2
    days = [int(row.group) for row in read_usage(connection, "day")]
    assert days == [NOON // DAY * DAY + n * DAY for n in range(4)]
    assert len(read_usage(connection, "hour", since=NOON + DAY, until=NOON + 3 * DAY)) == 2


def test_what_cannot_be_written_is_kept_for_later(file: StateFile, clock: Clock) -> None:
    _, secret = KeyStore(file, clock).create("alice")
    accounts = Accounts(file, clock=clock)
    alice = accounts.find(hash_key(secret))
    assert alice is not None
    alice.hold("m", 10, 0, clock.now)
    other = file.connect()
    other.execute("BEGIN IMMEDIATE")
    accounts._writer.execute("PRAGMA busy_timeout=1")
    batch = accounts.take()
    with pytest.raises(StateError, match="another program has locked it"):
        accounts.write(batch)
    accounts.give_back(batch)
    alice.hold("m", 5, 0, clock.now)
    other.execute("ROLLBACK")
    accounts.close()
    assert read_usage(file.connect(), "model")[0].usage.prompt_tokens == 15


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_it_is_the_owners_alone(file: StateFile) -> None:
    KeyStore(file).create("alice")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in file.path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_no_secret_is_in_it(file: StateFile) -> None:
    store = KeyStore(file)
    _, secret = store.create("alice")
    store.close()
    assert all(secret.encode() not in path.read_bytes() for path in file.path.parent.iterdir())


def test_a_file_of_a_newer_version_is_left_alone(file: StateFile) -> None:
    connection = file.connect()
    connection.execute("PRAGMA user_version=99")
    with pytest.raises(StateError, match="newer edge-llama"):
        file.connect()
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_file_that_is_none_of_ours_is_named(file: StateFile) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(b"something else " * 100)
    with pytest.raises(StateError, match=r"state\.sqlite3 cannot be used: file is not a database"):
        file.connect()


def test_keys_stay_as_they_were_when_they_cannot_be_read(
    file: StateFile,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, secret = KeyStore(file, clock).create("alice")
    accounts = Accounts(file, clock=clock)
    alice = accounts.find(hash_key(secret))

    class Broken:
        def execute(self, statement: str) -> object:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(accounts, "_reader", Broken())
    for _ in range(3):
        assert accounts.find(hash_key(secret)) is alice is not None
        assert accounts.find(hash_key("another")) is None
    assert accounts.guards
    [told] = caplog.messages
    assert told == "The API keys stay as they were: disk I/O error."


@pytest.mark.parametrize(
    ("field", "value"),
    [("rpm", 0), ("tpm", -1), ("budget_cents", -1.0), ("tier", "x"), ("models", ("",))],
)
def test_limits_are_checked(field: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"`{field}`"):
        KeyLimits(**{field: value})
