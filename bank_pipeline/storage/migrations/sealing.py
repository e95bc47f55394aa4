"""What migrations need that seal rows, or open them: see `storage.migrate` for the vault."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.credentials import Sealed, Vault

ROWS: Final = 200  # in memory at once, where a row may be an answer of megabytes


def refer_to_keys(table: str, column: str) -> None:
    """Have a column name a key that is in use."""
    name = f"{table}_{column}_fkey"
    op.create_foreign_key(
        name,
        table,
        "encryption_keys",
        [column],
        ["in_use_id"],
        source_schema="bank",
        referent_schema="bank",
    )


def _rows(query: str) -> Iterator[sa.RowMapping]:
    """Yield rows by their `id`, some at a time."""
    after: Any = None
    while True:
        where = "" if after is None else "WHERE id > :after"
        text = f"SELECT * FROM ({query}) AS one {where} ORDER BY id LIMIT {ROWS}"  # noqa: S608
        bound = {} if after is None else {"after": after}
        rows = op.get_bind().execute(sa.text(text), bound).mappings().all()
        yield from rows
        if len(rows) < ROWS:
            return
        after = rows[-1]["id"]


def change_rows(
    query: str, statement: str, to_values: Callable[[sa.RowMapping], Mapping[str, Any]]
) -> None:
    """Run a statement for each row of a query, with its `id` and what is made of it."""
    for row in _rows(query):
        op.get_bind().execute(sa.text(statement), {"id": row["id"], **to_values(row)})


def needed(vault: Vault | None) -> Vault:
    """Return the vault; a SetupError where nobody gave one."""
    if vault is None:
        raise SetupError("this migration needs the encryption keys: `bank-pipeline db migrate`")
    return vault


def seal(vault: Vault | None, content: bytes, bound_to: str) -> dict[str, Any]:
    """Return a ciphertext and the name of its key, as parameters."""
    sealed = needed(vault).seal(content, bound_to)
    return {"ciphertext": sealed.ciphertext, "key_id": sealed.key_id}


def unseal(vault: Vault | None, row: Mapping[str, Any] | sa.RowMapping, bound_to: str) -> bytes:
    """Return what is sealed in a row."""
    sealed = Sealed(bytes(row["ciphertext"]), row["key_id"])
    return needed(vault).unseal(sealed, bound_to)


def add(table: str, *columns: sa.Column[Any]) -> None:
    """Add columns."""
    for column in columns:
        op.add_column(table, column, schema="bank")


def drop(table: str, *names: str) -> None:
    """Drop columns."""
    for name in names:
        op.drop_column(table, name, schema="bank")


def add_sealed(table: str, ciphertext: str, key_id: str) -> None:
    """Add a column of ciphertexts and that of their keys, empty for now."""
    add(table, sa.Column(ciphertext, BYTEA), sa.Column(key_id, sa.Text))
    refer_to_keys(table, key_id)


def set_whole(table: str, *names: str) -> None:
    """Let columns hold no NULL any more."""
    for name in names:
        op.alter_column(table, name, nullable=False, schema="bank")


def to_numbers(identifiers: Mapping[str, Any], stable: Sequence[str]) -> dict[str, Any]:
    """Return what is sealed of an account, without what is unknown."""
    known = {name: value for name, value in identifiers.items() if value is not None}
    numbers = {"identifiers": known, "stable_external_ids": [*stable]}
    return {name: value for name, value in numbers.items() if value}


def to_fingerprints(vault: Vault, numbers: Mapping[str, Any]) -> list[bytes]:
    """Return what the rules of matching make of numbers."""
    schemes, identifiers = ("iban", "bban", "resource"), numbers.get("identifiers", {})
    keys = {
        stable if stable.partition(":")[0] in schemes else f"hash:{stable}"
        for stable in numbers.get("stable_external_ids", ())
    }
    for scheme in ("iban", "bban"):
        if number := identifiers.get(scheme):
            keys.add(f"{scheme}:{''.join(number.split()).upper()}")
    if number := identifiers.get("account_number"):
        keys.add(f"number:{''.join(number.split()).upper()}")
    return [vault.fingerprint(key) for key in sorted(keys)]


def to_last_four(identifiers: Mapping[str, Any]) -> str | None:
    """Return what may be shown of an account's number."""
    names = ("masked_number", "account_number", "iban", "bban")
    shown = next((one for name in names if (one := identifiers.get(name))), "")
    return "".join(one for one in shown if one.isalnum())[-4:] or None
