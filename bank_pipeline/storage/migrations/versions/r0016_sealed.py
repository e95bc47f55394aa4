"""Numbers of accounts and answers of banks sealed; the keys by their names."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.migrations.sealing import (
    add,
    add_sealed,
    change_rows,
    drop,
    needed,
    refer_to_keys,
    seal,
    set_whole,
    to_fingerprints,
    to_last_four,
    to_numbers,
    unseal,
)

revision: Final = "0016"
down_revision: Final[str | None] = "0015"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

KEYED: Final = (
    "credentials",
    "next_consents",
    "consents_to_end",
    "link_sessions",
    "notification_targets",
)
COMMENTS: Final = {
    "accounts": (
        (
            "Accounts. closed_at: since when a complete answer no longer shows it. moved_from: the "
            "provider under which its rows were named, until they are read under the account's new "
            "id. excluded_at: since when a person does not want it read.{}"
        ),
        "",
        (
            " numbers_ciphertext: its numbers and ids that outlive a consent, sealed; "
            "number_fingerprints: by which the same are found again."
        ),
    ),
    "next_consents": (
        (
            "A new consent of a connection, until it has read an account; the old one is in use "
            "meanwhile. {}"
        ),
        "told: accounts and balances that came with the link.",
        "told_ciphertext: accounts and balances that came with the link, sealed.",
    ),
    "account_questions": (
        (
            "Accounts that a bank shows and that may be known ones: a person tells. shown: the "
            "account as told{}. candidate_ids: the accounts it could be."
        ),
        "",
        ", its numbers apart and sealed",
    ),
    "raw_payloads": (
        "What the provider said, as it said it ({}), for replay. Each answer once.",
        "zlib",
        "zlib, sealed",
    ),
    "quarantine": (
        (
            "Rows that do not fit the documented shape, with their text, {}until resolved. "
            "resolved_by: the run that brought the row after all; none when a person dealt with it."
        ),
        "",
        "sealed, ",
    ),
}
"""The comment of a table, with what stood and what stands in the gap of it."""


def upgrade() -> None:
    """Seal what is stored in clear: all of it, or the database stays as it was."""
    vault: Vault | None = context.config.attributes.get("vault")
    _create_keys()
    _register_keys(vault)
    _seal_accounts(vault)
    _seal_questions(vault)
    _seal_told(vault)
    _seal_quarantine(vault)
    _seal_answers(vault)
    # What syncs had left for looking back held numbers; the next sync brings them again.
    op.execute(
        r"""
        UPDATE bank.sync_runs SET before = jsonb_set(before, '{accounts}', (
            SELECT coalesce(jsonb_object_agg(key, (value - 'identifiers' - 'stable_external_ids')
                || CASE WHEN value ? 'content_hash' THEN '{"content_hash": "\\x"}'::jsonb
                        ELSE '{}' END), '{}')
            FROM jsonb_each(before -> 'accounts')))
        WHERE before ? 'accounts'
        """
    )
    for table, (text, _, after) in COMMENTS.items():
        op.create_table_comment(table, text.format(after), schema="bank")


def downgrade() -> None:
    """Open what is sealed, and store it in clear."""
    vault: Vault | None = context.config.attributes.get("vault")
    _open_answers(vault)
    _open_quarantine(vault)
    _open_told(vault)
    _open_questions(vault)
    _open_accounts(vault)
    for table in KEYED:
        op.drop_constraint(f"{table}_key_id_fkey", table, schema="bank")
    op.drop_table("data_keys", schema="bank")
    op.drop_table("encryption_keys", schema="bank")
    for table, (text, before, _) in COMMENTS.items():
        op.create_table_comment(table, text.format(before), schema="bank")


def _create_keys() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "encryption_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("in_use_id", sa.Text),
        sa.Column("added_at", moment, nullable=False),
        sa.Column("retired_at", moment),
        sa.PrimaryKeyConstraint("id", name="encryption_keys_pkey"),
        sa.UniqueConstraint("in_use_id", name="encryption_keys_in_use_id_key"),
        sa.CheckConstraint(
            "in_use_id IS NOT DISTINCT FROM CASE WHEN retired_at IS NULL THEN id END",
            name="encryption_keys_in_use_check",
        ),
        schema="bank",
        comment="Keys by their names, never the keys. Everything sealed refers to in_use_id, "
        "which is NULL once a key is retired: so none that seals anything can be, and a retired "
        "one seals nothing more.",
    )
    for table in KEYED:
        op.execute(
            "INSERT INTO bank.encryption_keys (id, in_use_id, added_at) "  # noqa: S608
            f"SELECT DISTINCT key_id, key_id, now() FROM bank.{table} "
            "WHERE key_id IS NOT NULL ON CONFLICT DO NOTHING"
        )
        refer_to_keys(table, "key_id")
    op.create_table(
        "data_keys",
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("ciphertext", BYTEA, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("purpose", name="data_keys_pkey"),
        schema="bank",
        comment="Keys that are stored sealed, and so outlive the one that seals them: "
        "fingerprints, by which numbers and secrets are found again.",
    )
    refer_to_keys("data_keys", "key_id")


def _register_keys(vault: Vault | None) -> None:
    """Tell of the key that seals, and keep that of fingerprints; refuse a wrong one first."""
    if vault is None:
        return
    db = op.get_bind()
    known = [*db.scalars(sa.text("SELECT id FROM bank.encryption_keys ORDER BY id"))]
    if missing := [one for one in known if not vault.knows(one)]:
        raise SetupError(
            f"What is stored was sealed with key {', '.join(missing)}, which is missing (present: "
            f"{vault.key_id}): restore it from a backup. Nothing was changed"
        )
    db.execute(
        sa.text(
            "INSERT INTO bank.encryption_keys (id, in_use_id, added_at) VALUES (:id, :id, now()) "
            "ON CONFLICT DO NOTHING"
        ),
        {"id": vault.key_id},
    )
    sealed = vault.encrypt(vault.fingerprint_key, "data key fingerprints")
    db.execute(
        sa.text("INSERT INTO bank.data_keys VALUES ('fingerprints', :ciphertext, :key_id)"),
        {"ciphertext": sealed.ciphertext, "key_id": sealed.key_id},
    )


def _seal_accounts(vault: Vault | None) -> None:
    add_sealed("accounts", "numbers_ciphertext", "numbers_key_id")
    add(
        "accounts",
        sa.Column("number_fingerprints", ARRAY(BYTEA), nullable=False, server_default="{}"),
        sa.Column("masked_number", sa.Text),
    )

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        numbers = to_numbers(row["identifiers"], row["stable_external_ids"])
        ours, bound_to = needed(vault), f"numbers of account {row['id']}"
        content = json.dumps(numbers).encode()
        sealed = {"ciphertext": None, "key_id": None}
        return {
            **(seal(vault, content, bound_to) if numbers else sealed),
            "fingerprints": to_fingerprints(ours, numbers),
            "masked": to_last_four(row["identifiers"]),
            "hash": ours.to_keyed(bytes(row["content_hash"])),
        }

    change_rows(
        "SELECT id, identifiers, stable_external_ids, content_hash FROM bank.accounts",
        "UPDATE bank.accounts SET numbers_ciphertext = :ciphertext, numbers_key_id = :key_id, "
        "number_fingerprints = :fingerprints, masked_number = :masked, content_hash = :hash "
        "WHERE id = :id",
        to_values,
    )
    drop("accounts", "identifiers", "stable_external_ids")


def _open_accounts(vault: Vault | None) -> None:
    add(
        "accounts",
        sa.Column("identifiers", JSONB, nullable=False, server_default="{}"),
        sa.Column("stable_external_ids", ARRAY(sa.Text), nullable=False, server_default="{}"),
    )

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        numbers = json.loads(unseal(vault, row, f"numbers of account {row['id']}"))
        return {
            "identifiers": json.dumps(numbers.get("identifiers", {})),
            "stable": numbers.get("stable_external_ids", []),
        }

    change_rows(
        "SELECT id, numbers_ciphertext AS ciphertext, numbers_key_id AS key_id "
        "FROM bank.accounts WHERE numbers_ciphertext IS NOT NULL",
        "UPDATE bank.accounts SET identifiers = CAST(:identifiers AS jsonb), "
        "stable_external_ids = :stable WHERE id = :id",
        to_values,
    )
    drop("accounts", "numbers_ciphertext", "numbers_key_id")
    drop("accounts", "number_fingerprints", "masked_number")


def _seal_questions(vault: Vault | None) -> None:
    add_sealed("account_questions", "numbers_ciphertext", "numbers_key_id")

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        shown = dict(row["shown"])
        numbers = to_numbers(shown.pop("identifiers", {}), shown.pop("stable_external_ids", ()))
        content, bound_to = json.dumps(numbers).encode(), f"numbers of account question {row['id']}"
        return {"shown": json.dumps(shown), **seal(vault, content, bound_to)}

    change_rows(
        "SELECT id, shown FROM bank.account_questions",
        "UPDATE bank.account_questions SET shown = CAST(:shown AS jsonb), "
        "numbers_ciphertext = :ciphertext, numbers_key_id = :key_id WHERE id = :id",
        to_values,
    )


def _open_questions(vault: Vault | None) -> None:
    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        numbers = json.loads(unseal(vault, row, f"numbers of account question {row['id']}"))
        return {"numbers": json.dumps(numbers)}

    change_rows(
        "SELECT id, numbers_ciphertext AS ciphertext, numbers_key_id AS key_id "
        "FROM bank.account_questions WHERE numbers_ciphertext IS NOT NULL",
        "UPDATE bank.account_questions SET shown = shown || CAST(:numbers AS jsonb) WHERE id = :id",
        to_values,
    )
    drop("account_questions", "numbers_ciphertext", "numbers_key_id")


def _seal_told(vault: Vault | None) -> None:
    add_sealed("next_consents", "told_ciphertext", "told_key_id")
    change_rows(
        "SELECT connection_id AS id, told FROM bank.next_consents WHERE told IS NOT NULL",
        "UPDATE bank.next_consents SET told_ciphertext = :ciphertext, told_key_id = :key_id "
        "WHERE connection_id = :id",
        lambda row: seal(
            vault,
            json.dumps(row["told"]).encode(),
            f"what came with the new consent of {row['id']}",
        ),
    )
    drop("next_consents", "told")


def _open_told(vault: Vault | None) -> None:
    add("next_consents", sa.Column("told", JSONB))

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        told = unseal(vault, row, f"what came with the new consent of {row['id']}")
        return {"told": told.decode()}

    change_rows(
        "SELECT connection_id AS id, told_ciphertext AS ciphertext, told_key_id AS key_id "
        "FROM bank.next_consents WHERE told_ciphertext IS NOT NULL",
        "UPDATE bank.next_consents SET told = CAST(:told AS jsonb) WHERE connection_id = :id",
        to_values,
    )
    drop("next_consents", "told_ciphertext", "told_key_id")


def _row_bound_to(row: sa.RowMapping, digest: bytes) -> str:
    return f"quarantined row {digest.hex()} of connection {row['connection_id']}"


def _seal_quarantine(vault: Vault | None) -> None:
    add_sealed("quarantine", "raw_ciphertext", "raw_key_id")
    add("quarantine", sa.Column("account_external_id", sa.Text))

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        digest = needed(vault).to_keyed(bytes(row["digest"]))
        is_orphan = row["operation"] == "transaction of an unlisted account"
        return {
            "digest": digest,
            "account": json.loads(row["raw"])["account_external_id"] if is_orphan else None,
            **seal(vault, row["raw"].encode(), _row_bound_to(row, digest)),
        }

    change_rows(
        "SELECT id, connection_id, operation, raw, digest FROM bank.quarantine",
        "UPDATE bank.quarantine SET raw_ciphertext = :ciphertext, raw_key_id = :key_id, "
        "digest = :digest, account_external_id = :account WHERE id = :id",
        to_values,
    )
    set_whole("quarantine", "raw_ciphertext", "raw_key_id")
    drop("quarantine", "raw")


def _open_quarantine(vault: Vault | None) -> None:
    add("quarantine", sa.Column("raw", sa.Text))

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        raw = unseal(vault, row, _row_bound_to(row, bytes(row["digest"]))).decode()
        text = f"{row['operation']}\0{raw}".encode()
        return {"raw": raw, "digest": hashlib.blake2b(text, digest_size=16).digest()}

    change_rows(
        "SELECT id, connection_id, operation, raw_ciphertext AS ciphertext, raw_key_id AS key_id, "
        "digest FROM bank.quarantine",
        "UPDATE bank.quarantine SET raw = :raw, digest = :digest WHERE id = :id",
        to_values,
    )
    set_whole("quarantine", "raw")
    drop("quarantine", "raw_ciphertext", "raw_key_id", "account_external_id")


def _answer_bound_to(row: sa.RowMapping, digest: bytes) -> str:
    return f"answer {digest.hex()} of {row['operation']} of connection {row['connection_id']}"


def _seal_answers(vault: Vault | None) -> None:
    add("raw_payloads", sa.Column("key_id", sa.Text))
    refer_to_keys("raw_payloads", "key_id")

    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        own = bytes(row["digest"])
        digest = needed(vault).to_keyed(own)
        content = bytes([len(own)]) + own + bytes(row["body"])
        return {"digest": digest, **seal(vault, content, _answer_bound_to(row, digest))}

    change_rows(
        "SELECT id, connection_id, operation, digest, body FROM bank.raw_payloads",
        "UPDATE bank.raw_payloads SET digest = :digest, body = :ciphertext, key_id = :key_id "
        "WHERE id = :id",
        to_values,
    )
    set_whole("raw_payloads", "key_id")


def _open_answers(vault: Vault | None) -> None:
    def to_values(row: sa.RowMapping) -> dict[str, Any]:
        content = unseal(vault, row, _answer_bound_to(row, bytes(row["digest"])))
        end = 1 + content[0]
        return {"digest": content[1:end], "body": content[end:]}

    change_rows(
        "SELECT id, connection_id, operation, digest, body AS ciphertext, key_id "
        "FROM bank.raw_payloads",
        "UPDATE bank.raw_payloads SET digest = :digest, body = :body WHERE id = :id",
        to_values,
    )
    drop("raw_payloads", "key_id")
