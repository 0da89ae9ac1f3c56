"""What is a key, who is let in with it, and what is told of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gway import resolver
from gway.errors import GwayError, UnknownName, UsageError
from gway.marks import access_of
from gway.projects.ocpp.facts import Admission, Knock, Verdict
from gway.projects.ocpp.keys import keyring as keyring_module
from gway.projects.ocpp.keys import keys
from gway.projects.ocpp.keys.hashing import check_key, hash_key, is_key, key_bytes
from gway.projects.ocpp.keys.keyring import Keyring
from gway.projects.ocpp.keys.store import LOOK_EVERY_S, KeyStore
from gway.resolver import Gateway

Run = Callable[..., Any]
KEY = bytes(range(8)) + b"\xff" * 12
HEX = KEY.hex()
AT = datetime(2024, 5, 17, tzinfo=UTC)


def admit(password: bytes | None, charger_id: str = "AL1000") -> Admission | None:
    user = None if password is None else charger_id
    return keys.ocpp_admit(Knock(charger_id, "192.0.2.1", user, password), AT)


def let_in(password: bytes | None) -> bool:
    answer = admit(password)
    if answer is None or answer.verdict is not Verdict.ACCEPT:
        assert answer is None or (answer.status, answer.authenticated) == (401, False)
        return False
    assert answer.authenticated
    return True


@pytest.fixture
def ring(gw: Gateway) -> Keyring:
    return gw.service(Keyring)


# --- what a key is -----------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "key", "same"),
    [
        (KEY, KEY, True),
        (KEY, HEX.encode(), True),
        (HEX.upper().encode(), KEY, True),
        (HEX.upper().encode(), HEX.encode(), True),
        (b"0123456789abcdef0123", b"0123456789abcdef0123".hex().encode(), True),
        (b"secret-and-long-enough", b"secret-and-long-enough", True),
        (b"secret-and-long-enough", b"Secret-and-long-enough", False),
        (KEY[:-1], KEY, False),
        (b"", KEY, False),
    ],
)
def test_keys_are_compared_as_bytes_and_in_hex(password: bytes, key: bytes, same: bool) -> None:
    assert (key_bytes(password) == key_bytes(key)) is same
    assert is_key(password, hash_key(key)) is same


def test_a_key_is_kept_with_a_salt_of_its_own(gw: Gateway, ring: Keyring, workspace: Path) -> None:
    ring.put("CP1", HEX.encode())
    ring.put("CP2", HEX.encode())
    one, two = (ring.store.find(charger_id)[0].hashed for charger_id in ("CP1", "CP2"))
    assert one.salt != two.salt
    assert one.digest != two.digest
    gw.close()
    kept = b"".join(path.read_bytes() for path in (workspace / "work").glob("ocpp.sqlite*"))
    assert KEY not in kept
    assert HEX.encode() not in kept
    assert one.digest in kept


@pytest.mark.parametrize("key", ["", "seven77", "x" * 41, "with\ttabulator", "a\x00bcdefgh"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(UsageError) as told:
        check_key(key)
    assert key == "" or key not in told.value.message


# --- who is let in -----------------------------------------------------------


def test_a_charger_with_a_key_is_let_in_with_that_key_alone(ring: Keyring) -> None:
    ring.put("AL1000", HEX.encode())
    tried = (KEY, HEX.encode(), b"wrong", KEY[:-1], b"x" * 4000, None)
    assert [let_in(password) for password in tried] == [True, True, False, False, False, False]


def test_a_charger_without_a_key_is_left_to_others_unless_keys_are_required(
    ring: Keyring,
) -> None:
    assert admit(None) is None
    assert admit(b"anything") is None
    keys.configure(required=True)
    for password in (None, b"anything"):
        refused = admit(password)
        assert refused is not None
        assert (refused.verdict, refused.status) == (Verdict.REJECT, 401)


def test_the_setting_requires_keys_and_setup_alone_does_not_undo_it(workspace: Path) -> None:
    gateway = Gateway(workspace, env={"GWAY_OCPP_KEYS_REQUIRED": "yes"})
    with resolver.use(gateway):
        try:
            keys.setup_app()
            assert gateway.service(Keyring).required
            keys.setup_app(required=False)
            assert not gateway.service(Keyring).required
        finally:
            gateway.close()


def test_a_known_password_is_not_hashed_again_until_the_key_changes(
    ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[bytes] = []

    def counted(password: bytes, key: Any) -> bool:
        hashed.append(password)
        return is_key(password, key)

    monkeypatch.setattr(keyring_module, "is_key", counted)
    ring.put("AL1000", HEX.encode())
    assert [let_in(each) for each in (KEY, KEY, b"wrong", b"wrong", KEY)] == [
        *(True, True, False, False, True)
    ]
    assert hashed == [KEY, b"wrong", b"wrong"]
    ring.put("AL1000", b"another-key-than-before")
    assert not let_in(KEY)
    assert hashed.count(KEY) == 2


def test_the_memory_of_passwords_is_bounded(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "REMEMBERED", 2)
    for charger_id in ("CP1", "CP2", "CP3"):
        ring.put(charger_id, KEY)
        assert admit(KEY, charger_id) is not None
    assert len(ring._remembered) == 2


def test_traces_of_a_knock_hide_the_password() -> None:
    assert "secret" not in repr(Knock("CP1", "192.0.2.1", "CP1", b"secret"))


# --- another key -------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status", "outcome", "old_fits", "new_fits"),
    [
        ("answered", "Accepted", "changed", False, True),
        ("answered", "RebootRequired", "changed", False, True),
        ("answered", "Rejected", "unchanged", True, False),
        ("failed", "", "unchanged", True, False),
        ("refused", "", "unchanged", True, False),
        ("timed out", "", "open", True, True),
        ("uncertain", "", "open", True, True),
    ],
)
def test_which_key_counts_depends_on_the_answer(
    ring: Keyring, state: str, status: str, outcome: str, old_fits: bool, new_fits: bool
) -> None:
    ring.put("AL1000", KEY)
    during: list[bool] = []

    def send(key: str) -> dict[str, Any]:
        during.append(let_in(KEY))
        return {"state": state, "status": status}

    assert ring.change("AL1000", "the-new-key-of-AL1000", send) == outcome
    assert during == [True]
    assert let_in(KEY) is old_fits
    assert let_in(b"the-new-key-of-AL1000") is new_fits
    assert let_in(KEY) is (old_fits and not new_fits)  # the first use of a new key settles it


def test_a_key_is_changed_by_one_at_a_time(ring: Keyring) -> None:
    def send(key: str) -> dict[str, Any]:
        with pytest.raises(GwayError, match="being changed"):
            ring.change("AL1000", "yet-another-key", send)
        return {"state": "answered", "status": "Accepted"}

    assert ring.change("AL1000", "the-new-key-of-AL1000", send) == "changed"


def test_an_offered_key_alone_shuts_nobody_out(ring: Keyring) -> None:
    ring.change("AL1000", "the-new-key-of-AL1000", lambda key: {"state": "sent", "status": ""})
    assert admit(None) is None
    assert admit(b"wrong") is None
    (row,) = keys.list()
    assert (row.charger_id, row.set_at) == ("AL1000", None)
    assert row.offered_at is not None
    assert let_in(b"the-new-key-of-AL1000")
    assert not let_in(None)


# --- what is kept in memory of who has one --------------------------------------


def test_a_key_that_another_process_sets_or_deletes_counts_from_the_next_knock(
    run: Run, ring: Keyring, eventually: Callable[..., Any]
) -> None:
    assert admit(None) is None
    assert run("ocpp.keys", "set-key", "AL1000", stdin=f"{HEX}\n").code == 0
    eventually(lambda: ring.store.find("AL1000"))
    assert (let_in(KEY), let_in(b"wrong")) == (True, False)
    assert run("ocpp.keys", "delete-key", "AL1000").code == 0
    eventually(lambda: admit(None) is None)


def test_chargers_without_a_key_cost_one_look_at_the_database_each_hundredth_second(
    gw: Gateway, ring: Keyring
) -> None:
    ring.put("AL1000", KEY)
    now, looks = [0.0], []
    database = ring.store._database
    counted = KeyStore(database, clock=lambda: now[0])
    peek = database.peek
    database.peek = lambda read: (looks.append(now[0]), peek(read))[1]
    for number in range(100):
        assert counted.find(f"CP{number}") == []
    assert looks == [0.0]
    now[0] += LOOK_EVERY_S
    assert counted.find("CP1") == []
    assert len(looks) == 2
    assert [row.charger_id for row in counted.find("AL1000")] == ["AL1000"]


def test_a_key_set_here_counts_at_once(gw: Gateway) -> None:
    store = KeyStore(gw.service(Keyring).store._database, clock=lambda: 0.0)
    assert store.find("AL1000") == []
    store.put("AL1000", hash_key(KEY), AT)
    assert len(store.find("AL1000")) == 1
    store.offer("CP2", hash_key(KEY), AT)
    assert store.find("CP2")[0].offered
    store.delete("AL1000")
    assert store.find("AL1000") == []


# --- verbs and API -----------------------------------------------------------


def test_a_generated_key_is_shown_once_and_fits(gw: Gateway) -> None:
    made = keys.set_key("AL1000", generate=True)
    assert let_in(bytes.fromhex(made["key"]))
    assert made["key"] not in repr(keys.list())
    assert keys.api_set_key("AL1000")["key"] != made["key"]


def test_keys_are_listed_by_page_and_deleted(gw: Gateway) -> None:
    for charger_id in ("CP2", "CP1", "CP3"):
        keys.set_key(charger_id, generate=True)
    assert [row.charger_id for row in keys.list(limit=2)] == ["CP1", "CP2"]
    assert [row.charger_id for row in keys.api_list(after="CP2")] == ["CP3"]
    assert keys.api_delete_key("CP1") == {"deleted": "CP1"}
    for delete in (keys.delete_key, keys.api_delete_key):
        with pytest.raises(UnknownName, match="CP1"):
            delete("CP1")


@pytest.mark.parametrize("charger_id", ["", "a/b", " CP1", "x" * 49])
def test_a_key_is_for_an_id_that_a_charger_can_have(gw: Gateway, charger_id: str) -> None:
    with pytest.raises(UsageError):
        keys.set_key(charger_id, generate=True)
    assert keys.list() == []


def test_only_administrators_change_keys_by_the_api() -> None:
    marks = {each: access_of(getattr(keys, each)) for each in keys.__all__ if "api_" in each}
    assert {name: (mark.role, mark.method) for name, mark in marks.items()} == {
        "api_change_key": ("admin", "POST"),
        "api_delete_key": ("admin", "DELETE"),
        "api_list": ("operator", "GET"),
        "api_set_key": ("admin", "POST"),
    }


def test_a_key_is_read_from_a_pipe_and_never_from_the_command_line(run: Run, gw: Gateway) -> None:
    done = run("ocpp.keys", "set-key", "AL1000", stdin=f"{HEX}\n")
    assert done.code == 0
    assert HEX not in done.stdout + done.stderr
    assert let_in(KEY)
    for words in (("set-key", "AL1000", "not-on-the-line"), ("set-key", "AL1000")):
        assert run("ocpp.keys", *words).code == 2
    done = run("ocpp.keys", "api-set-key", "AL1000", "--key", "not-on-the-line")
    assert (done.code, "command line" in done.stderr) == (2, True)
    assert let_in(KEY)
    (row,) = json.loads(run("ocpp.keys", "list", "--json").stdout)
    assert set(row) == {"charger_id", "set_at", "offered_at"}


# --- while others are served -------------------------------------------------

SERVING = """
import gevent.monkey
gevent.monkey.patch_all()
import sys, gevent
from pathlib import Path
from gway import resolver
from gway.projects.ocpp.facts import Knock
from gway.projects.ocpp.keys import hashing
from gway.projects.ocpp.keys.keyring import Keyring
from gway.projects.ocpp.keys.store import LOOK_EVERY_S, KeyStore

gateway = resolver.Gateway(Path(sys.argv[1]))
with resolver.use(gateway):
    ring = gateway.service(Keyring)
    hashing.COST = 2**14
    ring.put("CP1", b"a-key-of-CP1")
    tries = [
        gevent.spawn(ring.admit, Knock("CP1", "192.0.2.1", "CP1", b"wrong-%d" % number))
        for number in range(4)
    ]
    turns = 0
    while not all(one.ready() for one in tries):
        gevent.sleep(0.001)
        turns += 1
    assert all(one.value.status == 401 for one in tries)
    gateway.close()
print(turns)
"""


def test_others_are_served_while_passwords_are_hashed(workspace: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVING, str(workspace)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8  # hashing on the hub would leave one or two
