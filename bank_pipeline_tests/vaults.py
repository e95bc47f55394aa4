"""The vault of tests: its key is in use in every database that the fixture `engine` gives."""

from typing import Final

import sqlalchemy as sa

from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.quarantine import OpenQuarantine, load_open_quarantine

KEY: Final = bytes(range(32))
VAULT: Final = Vault([KEY])


def load_unfit(engine: sa.Engine) -> list[OpenQuarantine]:
    """Load all rows that wait in quarantine, with their texts."""
    with engine.connect() as db:
        return load_open_quarantine(db, connection_id=None, limit=1000, vault=VAULT)
