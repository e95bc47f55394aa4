"""Lineage names answers as the archive does, by digests that only the installation can compute."""

import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.migrations.sealing import change_rows, needed, unseal

revision: Final = "0019"
down_revision: Final[str | None] = "0018"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

DIGEST_BYTES: Final = 16
RUNS: Final = (
    "SELECT id, connection_id, lineage FROM bank.sync_runs "
    "WHERE jsonb_array_length(lineage -> 'readings') > 0"
)
SET: Final = "UPDATE bank.sync_runs SET lineage = CAST(:lineage AS jsonb) WHERE id = :id"
FINGERPRINT_KEY: Final = (
    "SELECT ciphertext, key_id FROM bank.data_keys WHERE purpose = 'fingerprints'"
)
ANSWERS: Final = "SELECT connection_id, operation, digest, body, key_id FROM bank.raw_payloads"

Renamed = Callable[[sa.RowMapping, str, bytes], bytes]
"""Gives an answer of a run, told by its operation and digest, another digest."""


def upgrade() -> None:
    """Whoever knows all of an answer but an account's number would find that by its digest."""
    vault: Vault | None = context.config.attributes.get("vault")
    if not op.get_bind().execute(sa.text(f"{RUNS} LIMIT 1")).all():
        return  # a new installation, whose keys are not stored yet
    key = _load_key(vault)
    _rename(lambda _, __, digest: hmac.digest(key, digest, "sha256")[:DIGEST_BYTES])


def _load_key(vault: Vault | None) -> bytes:
    """Return the key of digests; where it was given up with all answers, one that nobody has."""
    row = op.get_bind().execute(sa.text(FINGERPRINT_KEY)).mappings().one_or_none()
    if row is None:
        return secrets.token_bytes()
    if not needed(vault).knows(row["key_id"]):
        raise SetupError(
            f"The key of digests was sealed with key {row['key_id']}, which is missing: restore it "
            "from a backup, or give up what it sealed by `bank-pipeline keys forget` of the "
            "release before. Nothing was changed"
        )
    return bytes.fromhex(unseal(vault, row, "data key fingerprints").decode())


def downgrade() -> None:
    """Put back the digests of what is archived still; of what is not, nothing can be found."""
    vault: Vault | None = context.config.attributes.get("vault")
    own: dict[tuple[Any, str, bytes], bytes] = {}
    for row in op.get_bind().execute(sa.text(ANSWERS)).mappings():
        digest = bytes(row["digest"])
        name = f"answer {digest.hex()} of {row['operation']} of connection {row['connection_id']}"
        sealed = {"ciphertext": row["body"], "key_id": row["key_id"]}
        content = unseal(vault, sealed, name)
        own[row["connection_id"], row["operation"], digest] = content[1 : 1 + content[0]]
    _rename(lambda run, name, digest: own.get((run["connection_id"], name, digest), digest))


def _rename(renamed: Renamed) -> None:
    def to_values(run: sa.RowMapping) -> dict[str, Any]:
        lineage = run["lineage"]
        for reading in lineage["readings"]:
            reading["answers"] = [
                [name, renamed(run, name, bytes.fromhex(digest)).hex()]
                for name, digest in reading["answers"]
            ]
        return {"lineage": json.dumps(lineage)}

    change_rows(RUNS, SET, to_values)
