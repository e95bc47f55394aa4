"""Everything sealed: opens in its row, with its key, whole; and else is left as it is."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import BYTEA

from bank_pipeline.errors import RefusedError, SecretError, SetupError
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.encryption_keys import (
    check_key,
    load_missing_keys,
    open_vault,
    register_key,
    retire_key,
)
from bank_pipeline.storage.keys import FileKeys
from bank_pipeline.storage.sealed_columns import SEALED, SealedColumn, reseal_batch
from bank_pipeline.storage.tables import data_keys, metadata
from bank_pipeline_tests.storage.rows import insert_row_everywhere
from bank_pipeline_tests.vaults import KEY, VAULT

OTHER: Final = bytes(32)
NOT_SEALED: Final = {
    "accounts.content_hash",
    "api_keys.digest",
    "audit_seals.digest",
    "audit_seals.hash",
    "link_sessions.browser_fingerprint",
    "link_sessions.return_fingerprint",
    "link_sessions.state_fingerprint",
    "quarantine.digest",
    "raw_payloads.digest",
    "transactions.content_hash",
}
"""Bytes that only compare: digests and fingerprints."""

every_column = pytest.mark.parametrize("column", SEALED, ids=lambda one: one.kind)


def test_every_column_of_bytes_is_sealed_or_only_compares() -> None:
    """And everything that names a key is in the list."""
    columns = [one for table in metadata.sorted_tables for one in table.columns]
    of_bytes = {f"{one.table.name}.{one.name}" for one in columns if isinstance(one.type, BYTEA)}
    named = {f"{one.table.name}.{one.ciphertext}" for one in SEALED}
    keys = {
        f"{key.parent.table.name}.{key.parent.name}"
        for one in columns
        for key in one.foreign_keys
        if key.column.table.name == "encryption_keys"
    }

    assert of_bytes - NOT_SEALED == named
    assert keys == {f"{one.table.name}.{one.key_id}" for one in SEALED}


def contents(db: sa.Connection, column: SealedColumn) -> dict[str, Any]:
    return dict(db.execute(sa.select(column.table)).one()._mapping)  # noqa: SLF001 -- its public name


def unseal(db: sa.Connection, column: SealedColumn, vault: Vault = VAULT) -> bytes:
    row = contents(db, column)
    sealed = Sealed(bytes(row[column.ciphertext]), row[column.key_id])
    return vault.unseal(sealed, column.bound_to(row))


def put(db: sa.Connection, column: SealedColumn, ciphertext: bytes) -> None:
    db.execute(sa.update(column.table).values({column.ciphertext: ciphertext}))


@pytest.fixture
def db(engine: sa.Engine, now: datetime) -> Any:
    """A transaction over a row in every table, all sealed with the key of `VAULT`."""
    with engine.connect() as db:
        insert_row_everywhere(db, now)
        yield db


@every_column
def test_what_is_sealed_is_sealed_anew_by_a_new_key(
    db: sa.Connection, column: SealedColumn, now: datetime
) -> None:
    before = unseal(db, column)
    vault = Vault([OTHER, KEY])
    register_key(db, vault.key_id, now=now)

    batch = reseal_batch(db, column, vault, after=None, waits=False)
    again = reseal_batch(db, column, vault, after=None, waits=False)

    assert (batch.resealed, batch.unopened, again.resealed) == (1, (), 0)
    assert contents(db, column)[column.key_id] == vault.key_id
    assert unseal(db, column, Vault([OTHER])) == before


@every_column
@pytest.mark.parametrize("damage", ["cut short", "cut to nothing", "altered", "of another row"])
def test_what_does_not_open_is_named_and_left_as_it_is(
    db: sa.Connection, column: SealedColumn, now: datetime, damage: str
) -> None:
    """Nothing is written over it: a backup may know better, and somebody has to look."""
    whole = bytes(contents(db, column)[column.ciphertext])
    damaged = {
        "cut short": whole[:-1],
        "cut to nothing": b"",
        "altered": whole[:-1] + bytes([whole[-1] ^ 1]),
        "of another row": VAULT.seal(b"theirs", "another row").ciphertext,
    }[damage]
    put(db, column, damaged)
    vault = Vault([OTHER, KEY])
    register_key(db, vault.key_id, now=now)

    batch = reseal_batch(db, column, vault, after=None, waits=False)

    assert batch.resealed == 0
    [told] = batch.unopened
    assert column.bound_to(contents(db, column)) in told
    assert bytes(contents(db, column)[column.ciphertext]) == damaged
    with pytest.raises(SecretError, match=r"does not open|not in a format"):
        unseal(db, column)


@every_column
def test_no_column_opens_in_the_place_of_another(db: sa.Connection, column: SealedColumn) -> None:
    """A ciphertext says nothing elsewhere. What moves unopened between tables, may."""
    movable = {"credentials", "new consents", "consents to end"}
    others = [
        one for one in SEALED if one is not column and not ({one.kind, column.kind} <= movable)
    ]
    row = contents(db, column)
    for other in others:
        sealed = Sealed(bytes(contents(db, other)[other.ciphertext]), VAULT.key_id)
        with pytest.raises(SecretError):
            VAULT.unseal(sealed, column.bound_to(row))


@every_column
def test_a_wrong_key_is_refused_before_anything_is_written(
    engine: sa.Engine, column: SealedColumn, now: datetime
) -> None:
    """Whatever it is that only the right key opens, and if it is the only thing."""
    with engine.begin() as db:
        insert_row_everywhere(db, now)
        for other in SEALED:
            if other.table is not column.table:
                db.execute(sa.delete(other.table))
        before = contents(db, column)

    for refused in (check_key, partial(open_vault, now=now)):
        with pytest.raises(SetupError, match=f"{VAULT.key_id}, which is missing .*1 {column.kind}"):
            refused(engine, Vault([OTHER]))

    with engine.connect() as db:
        assert contents(db, column) == before
        known = db.scalars(sa.text("SELECT id FROM bank.encryption_keys")).all()
        assert known == [VAULT.key_id]


def test_an_installation_refuses_a_wrong_key_from_its_first_start(
    engine: sa.Engine, now: datetime
) -> None:
    """Before there is any connection: else the first one would be sealed with a passing key."""
    open_vault(engine, Vault([KEY]), now=now)

    with pytest.raises(SetupError, match="1 data keys"):
        open_vault(engine, Vault([OTHER]), now=now)


def test_fingerprints_outlive_the_key_that_sealed_them(engine: sa.Engine, now: datetime) -> None:
    """Whatever was found by one before a change of keys is found by it after."""
    before = Vault([KEY])
    open_vault(engine, before, now=now)
    after = Vault([OTHER, KEY])
    open_vault(engine, after, now=now)
    [column] = [one for one in SEALED if one.kind == "data keys"]
    with engine.begin() as db:
        assert reseal_batch(db, column, after, after=None, waits=False).resealed == 1
    alone = Vault([OTHER])
    open_vault(engine, alone, now=now)

    assert before.fingerprint("IBAN") == after.fingerprint("IBAN") == alone.fingerprint("IBAN")
    assert Vault([OTHER]).fingerprint("IBAN") != alone.fingerprint("IBAN")


def test_a_key_that_seals_something_is_not_retired(db: sa.Connection, now: datetime) -> None:
    with pytest.raises(RefusedError, match="keys rotate"):
        retire_key(db, VAULT.key_id, now=now)


def test_a_retired_key_seals_nothing_more(engine: sa.Engine, now: datetime) -> None:
    """The database itself refuses what a process stores that did not hear of it."""
    vault = Vault([OTHER, KEY])
    open_vault(engine, vault, now=now)
    stale = Vault([KEY])
    with engine.begin() as db:
        assert retire_key(db, stale.key_id, now=now)
        assert not retire_key(db, stale.key_id, now=now)
        assert not register_key(db, stale.key_id, now=now)

    with pytest.raises(SetupError, match="missing"):
        open_vault(engine, stale, now=now)
    with pytest.raises(SetupError, match="was retired"):
        open_vault(engine, Vault([KEY, OTHER]), now=now)
    sealed = stale.seal(b"secret", "data key x")
    row = {"purpose": "x", "ciphertext": sealed.ciphertext, "key_id": sealed.key_id}
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as db:
        db.execute(sa.insert(data_keys), row)


def test_a_new_key_waits_until_a_connection_is_free(
    engine: sa.Engine, tmp_path: Path, now: datetime
) -> None:
    """Whoever seals meanwhile goes on with the key at hand."""
    source = FileKeys(tmp_path / "keys", is_ours=True)
    vault = Vault(source.read(), source=source)
    narrow = sa.create_engine(engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    open_vault(narrow, vault, now=now)
    at_hand = vault.key_id
    with narrow.connect():
        source.put_first(OTHER)
        assert vault.seal(b"secret", "data key x").key_id == at_hand
    narrow.dispose()


def test_a_key_that_was_told_of_and_sealed_nothing_may_be_missing(
    engine: sa.Engine, now: datetime
) -> None:
    """Such as one whose process died between telling of it and putting it in the file."""
    vault = Vault([OTHER])
    open_vault(engine, vault, now=now)

    with engine.connect() as db:
        assert load_missing_keys(db, vault) == {}


@given(content=st.binary(max_size=300), bound_to=st.text(max_size=40), other=st.text(max_size=40))
def test_what_is_sealed_opens_where_it_belongs_and_nowhere_else(
    content: bytes, bound_to: str, other: str
) -> None:
    sealed = VAULT.seal(content, bound_to)

    assert VAULT.unseal(sealed, bound_to) == content
    if other != bound_to:
        with pytest.raises(SecretError):
            VAULT.unseal(sealed, other)


@given(content=st.binary(max_size=300), cut=st.integers(1, 400))
def test_no_shorter_ciphertext_opens(content: bytes, cut: int) -> None:
    sealed = VAULT.seal(content, "row")
    short = Sealed(sealed.ciphertext[:-cut], sealed.key_id)

    with pytest.raises(SecretError):
        VAULT.unseal(short, "row")
