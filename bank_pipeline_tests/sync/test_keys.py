"""Keys are exchanged while everything goes on: no sync fails, and nothing is overwritten."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.audit import SYSTEM
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import (
    AccessRevokedError,
    NotFoundError,
    RefusedError,
    SecretError,
    SetupError,
    TransientError,
)
from bank_pipeline.storage.credentials import Vault, load_credential, store_credential
from bank_pipeline.storage.encryption_keys import list_keys, open_vault, register_key
from bank_pipeline.storage.keys import EnvironmentKeys, FileKeys
from bank_pipeline.storage.sealed_columns import SEALED, count_sealed
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.keys import add_key, forget_lost_key, retire_old_key, rotate_keys
from bank_pipeline.sync.notice_targets import add_target
from bank_pipeline_tests.sync.ground import CHECKING, READY, SYNC, Ground
from bank_pipeline_tests.vaults import KEY
from bank_pipeline_tests.waiting import wait_until

ACCOUNTS = ("acc-1-1", "acc-2-1", "acc-3-1")


class Process:
    """One process of an installation with a key file: its own vault over the shared file."""

    def __init__(self, context: SyncContext, path: Path) -> None:
        self.source = FileKeys(path, is_ours=True)
        vault = Vault(self.source.read(), source=self.source)
        open_vault(context.engine, vault, now=context.clock())
        self.context = replace(context, vault=vault)

    def rotate(self) -> int:
        """Seal everything anew; return how much it was."""
        done = rotate_keys(self.context, tell=lambda _, __: None)
        assert not done.unopened
        return done.resealed_count

    def retire(self, key_id: str) -> bool:
        """Retire a key; False, and rotated anew, where a sync under way sealed with it still."""
        try:
            return retire_old_key(self.context, self.source, key_id)
        except RefusedError:
            self.rotate()
            return False

    def sealed_by(self) -> set[str]:
        """Return the keys that anything is sealed with."""
        with self.context.engine.connect() as db:
            return {*count_sealed(db)}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key file with the key of the database's first vault."""
    path = tmp_path / "encryption.key"
    path.touch(mode=0o600)
    path.write_text(base64.b64encode(KEY).decode())
    return path


@pytest.fixture
def operator(ground: Ground, key_file: Path) -> Process:
    """Whoever exchanges keys; the syncs of `ground` run in another process."""
    ground.context = Process(ground.context, key_file).context
    return Process(ground.context, key_file)


def without_key(context: SyncContext) -> SyncContext:
    """Lose the key that has sealed all there is, and give it up; return who has another one."""
    known, lost, now = Vault([bytes(32)]), context.vault.key_id, context.clock()
    with context.engine.begin() as db:
        register_key(db, lost, now=now)
        register_key(db, known.key_id, now=now)
    forget_lost_key(context.engine, known, lost, actor=SYSTEM, now=now)
    return replace(context, vault=known)


def test_keys_change_under_a_running_load(ground: Ground, operator: Process) -> None:
    """Twice, to the end: added, rotated and the old one retired, while connections sync."""
    connections = [ground.link_ready(f"login-{number}") for number in (1, 2, 3)]
    is_over, changing = threading.Event(), threading.Lock()
    first_key = operator.context.vault.key_id

    def sync_on(connection: ConnectionId, account: str) -> int:
        count = 0
        while not is_over.is_set():
            with changing:
                ground.world.add_booked(account, Decimal(f"-{count + 1}.25"))
            ground.sync(connection)
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(sync_on, *one) for one in zip(connections, ACCOUNTS, strict=True)]
        try:
            for _ in range(2):
                old = operator.context.vault.key_id
                key_id = add_key(operator.context, operator.source)
                assert operator.rotate() > 0
                wait_until(partial(operator.retire, old), seconds=60, what="retired")
                assert operator.sealed_by() == {key_id}
        finally:
            is_over.set()
        counts = [load.result() for load in loads]

    assert all(counts)
    assert operator.sealed_by() == {operator.context.vault.key_id} != {first_key}
    assert operator.rotate() == 0
    for connection in connections:
        assert {run.outcome for run in ground.runs(connection)} == {"synced"}
        ground.sync(connection)
        assert ground.differences(connection) == []


def test_a_change_of_keys_that_was_broken_off_goes_on(ground: Ground, operator: Process) -> None:
    """Two at once share what is left, and none of it is done twice."""
    ground.link_ready()
    with operator.context.engine.connect() as db:
        sealed_count = sum(sum(one.values()) for one in count_sealed(db).values())
    add_key(operator.context, operator.source)

    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        rotate_keys(operator.context, tell=lambda count, _: _stop_after(2, count, done))
    assert len(operator.sealed_by()) == 2
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: operator.rotate(), range(2)))

    assert operator.sealed_by() == {operator.context.vault.key_id}
    assert sum(counts) == sealed_count - done[-1]


def _stop_after(number: int, count: int, done: list[int]) -> None:
    done.append(count)
    if len(done) == number:
        raise KeyboardInterrupt


def test_a_credential_that_is_stored_meanwhile_stays(ground: Ground, operator: Process) -> None:
    """Whoever rotates waits for it, and seals the newer one."""
    connection = ground.link_ready()
    stale = Vault([KEY])  # a process that has not heard of the new key
    add_key(operator.context, operator.source)
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )

    with ThreadPoolExecutor(1) as pool, ground.engine.begin() as db:
        newer = SecretStr("access-sandbox-newer")
        store_credential(db, connection, newer, stale, ground.context.clock())
        rotation = pool.submit(operator.rotate)
        wait_until(lambda: ground.query(waits)[0][0] == 1, seconds=20, what="it waits")
        db.commit()
        rotation.result()

    with ground.engine.connect() as db:
        assert load_credential(db, connection, operator.context.vault) == newer
    assert operator.sealed_by() == {operator.context.vault.key_id}


def test_what_does_not_open_is_told_and_stays(ground: Ground, operator: Process) -> None:
    """The rest is sealed anew, and the old key is not retired while it may open it."""
    connection = ground.link_ready()
    old = operator.context.vault.key_id
    ground.execute("UPDATE bank.credentials SET ciphertext = ciphertext || '\\x00'")
    add_key(operator.context, operator.source)

    rotation = rotate_keys(operator.context, tell=lambda _, __: None)

    [told] = rotation.unopened
    assert (connection in told, rotation.left) == (True, {})
    with pytest.raises(RefusedError, match="1 credentials"):
        retire_old_key(operator.context, operator.source, old)
    with ground.engine.connect() as db, pytest.raises(SecretError):
        load_credential(db, connection, operator.context.vault)


def test_keys_in_the_environment_are_put_there_by_people(operator: Process) -> None:
    """First behind the others, so that every process opens what the first that seals with it."""
    source = EnvironmentKeys(SecretStr("ignored"))

    with pytest.raises(SetupError, match="behind the others first"):
        add_key(operator.context, source)


def test_only_an_old_key_that_opens_nothing_is_retired(ground: Ground, operator: Process) -> None:
    ground.link()
    old = operator.context.vault.key_id

    with pytest.raises(RefusedError, match="is the one that seals"):
        retire_old_key(operator.context, operator.source, old)
    with pytest.raises(NotFoundError):
        retire_old_key(operator.context, operator.source, "0123456789abcdef")
    key_id = add_key(operator.context, operator.source)
    with pytest.raises(RefusedError, match="needed to open"):
        retire_old_key(operator.context, operator.source, old)
    operator.rotate()
    assert retire_old_key(operator.context, operator.source, old)
    assert not retire_old_key(operator.context, operator.source, old)  # and again, after a crash

    with ground.engine.connect() as db:
        states = [
            (one.id, one.is_first, one.retired_at is None)
            for one in list_keys(db, Vault(operator.source.read()))
        ]
    assert states == [(key_id, True, True), (old, False, False)]


def test_accounts_of_before_a_change_of_keys_are_known_after_it(
    ground: Ground, operator: Process
) -> None:
    """Fingerprints, hashes and digests are the same: a sync of nothing new writes nothing."""
    connection = ground.link_ready()
    ground.sync(connection)
    add_key(operator.context, operator.source)
    operator.rotate()
    kept = (
        "SELECT content_hash, number_fingerprints, updated_at FROM bank.accounts ORDER BY id",
        "SELECT count(*) FROM bank.raw_payloads",
    )
    before = [ground.query(one) for one in kept]

    report = ground.sync(connection)

    assert [ground.query(one) for one in kept] == before
    assert (report.accounts.updated, report.accounts.inserted) == (0, 0)


def test_a_team_is_told_of_what_a_lost_key_has_stopped(ground: Ground) -> None:
    """Nothing comes any more until somebody connects the bank again, who has to know of it."""
    connection = ground.link_ready()
    known = Vault([bytes(32)])
    hook = SecretStr("json://127.0.0.1:9/nobody")
    with ground.engine.begin() as db:
        register_key(db, known.key_id, now=ground.context.clock())
    add_target(replace(ground.context, vault=known), "home", "hook", hook)
    [(lost,)] = ground.query("SELECT key_id FROM bank.credentials")

    now = ground.context.clock()
    forget_lost_key(ground.engine, known, lost, actor=SYSTEM, now=now)

    told = ground.query(
        "SELECT kind, connection_id::text, payload->>'status' FROM bank.notifications"
    )
    assert [tuple(row) for row in told] == [("disconnected", connection, "revoked")]


@pytest.mark.parametrize("login", ["login-1", "login-2"], ids=["the same login", "another login"])
def test_a_bank_can_be_linked_beside_a_connection_that_a_lost_key_has_stopped(
    ground: Ground, login: str
) -> None:
    """Nobody can look any more whose accounts it has, where it was never read."""
    stopped = ground.link("login-1")
    later = replace(ground, context=without_key(ground.context))

    connection = later.link(login)

    later.pass_time(READY)
    later.sync(connection)
    assert connection != stopped
    assert later.differences(connection) == []
    assert ground.count("consents_to_end") == 0


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_bank_that_is_linked_anew_after_its_key_was_lost_is_read_by_the_new_consent(
    ground: Ground, *, is_refused: bool
) -> None:
    """What opened the old one is gone: where the new one never reads, it is linked once more."""
    connection = ground.link_ready("login-1", CHECKING)
    later = replace(ground, context=without_key(ground.context))
    assert later.link("login-1", CHECKING) == connection
    if is_refused:
        later.fail(SYNC, "ITEM_LOGIN_REQUIRED")

    with pytest.raises(AccessRevokedError if is_refused else TransientError):
        later.sync(connection)

    held = later.connection(connection)
    if is_refused:
        assert (held.status, held.status_reason) == (ConnectionStatus.REVOKED, "CREDENTIAL_LOST")
        return
    assert held.next_attempt_at is not None
    later.pass_time(READY)
    later.sync(connection)
    assert later.connection(connection).status is ConnectionStatus.ACTIVE
    assert later.differences(connection) == []


def test_every_kind_of_sealed_column_can_be_counted(engine: sa.Engine) -> None:
    """The kinds are told to people, so they differ."""
    with engine.connect() as db:
        assert count_sealed(db) == {}
    assert len({one.kind for one in SEALED}) == len(SEALED)
