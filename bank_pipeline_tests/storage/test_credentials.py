"""Secrets open with their key in their row, and nowhere else."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import NotFoundError, SecretError, SetupError
from bank_pipeline.storage.credentials import (
    Sealed,
    Vault,
    delete_credential,
    load_credential,
    load_vault,
    store_credential,
)
from bank_pipeline.storage.encryption_keys import check_key
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import connections, teams

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
TOKEN = SecretStr("access-sandbox-de3ce8ef-33f8-452c-a685-8671031fc0f6")


@pytest.fixture
def connection_id(engine: sa.Engine, now: datetime) -> ConnectionId:
    team_id, connection_id = new_id(), new_id()
    with engine.begin() as db:
        db.execute(sa.insert(teams).values(id=team_id, name="ours", created_at=now))
        db.execute(
            sa.insert(connections).values(
                id=connection_id,
                team_id=team_id,
                provider="plaid",
                external_id="item",
                status="active",
                status_since=now,
                history_stage="complete",
                created_at=now,
            )
        )
    return ConnectionId(connection_id)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_encrypted_opens(text: str) -> None:
    vault = Vault([KEY])

    sealed = vault.encrypt(SecretStr(text), "row")

    assert vault.decrypt(sealed, "row").get_secret_value() == text


def test_encrypting_twice_gives_different_ciphertexts(vault: Vault) -> None:
    """Equal secrets cannot be told from their ciphertexts."""
    assert vault.encrypt(TOKEN, "row") != vault.encrypt(TOKEN, "row")


def test_a_ciphertext_does_not_open_in_another_row(vault: Vault) -> None:
    with pytest.raises(SecretError, match="altered, or moved"):
        vault.decrypt(vault.encrypt(TOKEN, "row"), "another row")


@given(position=st.integers(0, 1000), bit=st.integers(0, 7))
def test_an_altered_ciphertext_does_not_open(position: int, bit: int) -> None:
    vault = Vault([KEY])
    sealed = vault.encrypt(TOKEN, "row")
    altered = bytearray(sealed.ciphertext)
    altered[position % len(altered)] ^= 1 << bit

    with pytest.raises(SecretError):
        vault.decrypt(Sealed(bytes(altered), sealed.key_id), "row")


@pytest.mark.parametrize("length", [0, 1, 5, 13, 20])
def test_a_ciphertext_cut_short_does_not_open(vault: Vault, length: int) -> None:
    sealed = vault.encrypt(TOKEN, "row")

    with pytest.raises(SecretError):
        vault.decrypt(Sealed(sealed.ciphertext[:length], sealed.key_id), "row")


def test_another_key_does_not_open_it(vault: Vault) -> None:
    with pytest.raises(SecretError, match=vault.key_id):
        Vault([OTHER_KEY]).decrypt(vault.encrypt(TOKEN, "row"), "row")


def test_an_older_key_opens_what_it_encrypted() -> None:
    """Keys are exchanged by putting the new one first and keeping the old one."""
    sealed = Vault([OTHER_KEY]).encrypt(TOKEN, "row")
    vault = Vault([KEY, OTHER_KEY])

    assert vault.decrypt(sealed, "row") == TOKEN
    assert vault.encrypt(TOKEN, "row").key_id == Vault([KEY]).key_id


def test_fingerprints_find_equal_texts_under_one_key_only(vault: Vault) -> None:
    assert vault.fingerprint("state") == vault.fingerprint("state")
    assert vault.fingerprint("state") != vault.fingerprint("other")
    assert vault.fingerprint("state") != Vault([OTHER_KEY]).fingerprint("state")


def test_nothing_secret_shows(vault: Vault) -> None:
    """Not in a repr, and not in the message or the causes of an exception."""
    sealed = vault.encrypt(TOKEN, "row")
    with pytest.raises(SecretError) as caught:
        vault.decrypt(sealed, "another row")

    shown = repr(vault) + repr(caught.value) + repr(caught.value.__cause__)
    assert TOKEN.get_secret_value() not in shown
    assert KEY.hex() not in shown
    assert repr(KEY) not in repr(vars(vault))


def test_a_stored_credential_comes_back(
    engine: sa.Engine, vault: Vault, connection_id: ConnectionId, now: datetime
) -> None:
    """Storing again replaces; deleting forgets."""
    with engine.begin() as db:
        store_credential(db, connection_id, SecretStr("earlier"), vault, now)
        store_credential(db, connection_id, TOKEN, vault, now)
        assert load_credential(db, connection_id, vault) == TOKEN
        assert delete_credential(db, connection_id)
        assert not delete_credential(db, connection_id)
        with pytest.raises(NotFoundError, match=connection_id):
            load_credential(db, connection_id, vault)


def test_a_failing_write_does_not_show_the_secret(
    engine: sa.Engine, vault: Vault, now: datetime
) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, engine.begin() as db:
        store_credential(db, ConnectionId(new_id()), TOKEN, vault, now)

    assert "ciphertext" in str(caught.value)
    assert "\\x01" not in str(caught.value)


def test_a_lost_key_is_noticed(
    engine: sa.Engine, vault: Vault, connection_id: ConnectionId, now: datetime
) -> None:
    """Before a new key is used beside credentials that only the old one opens."""
    check_key(engine, Vault([OTHER_KEY]))
    with engine.begin() as db:
        store_credential(db, connection_id, TOKEN, vault, now)

    check_key(engine, vault)
    check_key(engine, Vault([OTHER_KEY, KEY]))
    with pytest.raises(SetupError, match=rf"{vault.key_id}, which is missing \(1 credentials"):
        check_key(engine, Vault([OTHER_KEY]))


def settings(state_dir: Path, **more: str) -> Settings:
    return Settings(_env_file=None, state_dir=state_dir, **more)  # type: ignore[arg-type]


def test_a_configured_key_is_used(tmp_path: Path) -> None:
    """And no file is made."""
    vault = load_vault(settings(tmp_path, encryption_key=base64.b64encode(KEY).decode()))

    assert vault.key_id == Vault([KEY]).key_id
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not base64!", "not base64"),
        (base64.b64encode(KEY[:31]).decode(), "has 31"),
        (base64.b64encode(KEY).decode() + "," + base64.b64encode(KEY).decode(), "repeats"),
    ],
)
def test_a_malformed_key_is_explained_without_showing_it(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(SetupError, match=message) as caught:
        load_vault(settings(tmp_path, encryption_key=text))

    assert "openssl rand -base64 32" in str(caught.value)
    assert not text or text not in str(caught.value)


def test_a_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    first = load_vault(settings(tmp_path / "state"))
    second = load_vault(settings(tmp_path / "state"))

    assert first.key_id == second.key_id
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["encryption.key"]
    assert (tmp_path / "state" / "encryption.key").stat().st_mode & 0o777 == 0o600


def test_racing_starts_agree_on_one_key(tmp_path: Path) -> None:
    """The file appears whole or not at all."""

    def key_id(_: int) -> str:
        return load_vault(settings(tmp_path / "state")).key_id

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(key_id, range(64)))) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.chmod(0o640), "Others may read"),
        (lambda path: path.write_text("nonsense!\n"), "not base64"),
        (lambda path: path.write_text(""), "empty"),
    ],
)
def test_a_spoilt_key_file_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    """It is never replaced: the old key may open what is stored."""
    load_vault(settings(tmp_path))
    spoil(tmp_path / "encryption.key")
    before = (tmp_path / "encryption.key").read_bytes()

    with pytest.raises(SetupError, match=message):
        load_vault(settings(tmp_path))
    assert (tmp_path / "encryption.key").read_bytes() == before


def test_a_folder_that_takes_no_key_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "state").touch()

    with pytest.raises(SetupError, match="BANK_PIPELINE_ENCRYPTION_KEY"):
        load_vault(settings(tmp_path / "state"))


def test_ids_are_ordered_by_time() -> None:
    """And valid version 7 UUIDs in canonical text."""
    ids = [new_id() for _ in range(10_000)]

    assert ids == sorted(set(ids))
    assert {(len(one), one[14]) for one in ids} == {(36, "7")}
