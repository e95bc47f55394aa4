"""
An account's numbers: sealed, with fingerprints beside them by which the same are found again.

What banks and providers derive from a number without a key is sealed, too: whoever has that can
find the number by trying.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.account_matching import strong_keys
from bank_pipeline.domain.ids import AccountId, ConnectionId, TeamId
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.tables import accounts

SEALED_FIELDS: Final = frozenset({"identifiers", "stable_external_ids"})
COLUMNS: Final = (
    "numbers_ciphertext",
    "numbers_key_id",
    "number_fingerprints",
    "masked_number",
)
"""The columns of `accounts` that are made of these fields."""


def seal_numbers(account: Account, bound_to: str, vault: Vault) -> dict[str, Any]:
    """Return the two columns that hold an account's numbers; empty where it has none."""
    numbers = account.model_dump(mode="json", include=set(SEALED_FIELDS), exclude_defaults=True)
    if not numbers:
        return {"numbers_ciphertext": None, "numbers_key_id": None}
    sealed = vault.seal(json.dumps(numbers).encode(), bound_to)
    return {"numbers_ciphertext": sealed.ciphertext, "numbers_key_id": sealed.key_id}


def open_numbers(row: sa.RowMapping, bound_to: str, vault: Vault) -> Mapping[str, Any]:
    """
    Return the fields of an account that are sealed in this row.

    Raises:
        SecretError: they do not open.
    """
    if row["numbers_ciphertext"] is None:
        return {}
    sealed = Sealed(bytes(row["numbers_ciphertext"]), row["numbers_key_id"])
    fields: Mapping[str, Any] = json.loads(vault.unseal(sealed, bound_to))
    return fields


def to_fingerprints(account: Account, vault: Vault) -> list[bytes]:
    """Return fingerprints of its number, and of what names this account in the whole world."""
    keys = {*strong_keys(account)}
    if account.identifiers.account_number:
        keys.add(f"number:{_plain(account.identifiers.account_number)}")
    return [vault.fingerprint(key) for key in sorted(keys)]


def find_by_number(db: sa.Connection, number: str, *, vault: Vault) -> list[AccountId]:
    """Find the accounts that have this number (IBAN or another), without opening any."""
    wanted = [vault.fingerprint(f"{scheme}:{_plain(number)}") for scheme in _SCHEMES]
    query = sa.select(accounts.c.id).where(accounts.c.number_fingerprints.overlap(wanted))
    return [AccountId(id_) for id_ in db.scalars(query.order_by(accounts.c.id))]


def load_alike(
    db: sa.Connection, team_id: TeamId, shown: Sequence[Account], *, vault: Vault
) -> set[ConnectionId]:
    """Load a team's connections that may have one of these accounts, without opening any."""
    prints = [one for account in shown for one in to_fingerprints(account, vault)]
    masks = {account.identifiers.last_four for account in shown} - {None}
    query = sa.select(accounts.c.connection_id).where(
        accounts.c.team_id == team_id,
        accounts.c.number_fingerprints.overlap(sa.cast(prints, ARRAY(sa.LargeBinary)))
        | accounts.c.masked_number.in_(masks)
        | accounts.c.external_id.in_({account.external_id for account in shown}),
    )
    return {ConnectionId(id_) for id_ in db.scalars(query.distinct())}


_SCHEMES: Final = ("iban", "bban", "number")


def _plain(number: str) -> str:
    """Return a number as matching compares it, however people group it."""
    return "".join(number.split()).upper()
