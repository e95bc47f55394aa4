"""The one metadata that all tables are in, how keys are named, and what belongs to no team."""

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from bank_pipeline.storage.columns import SCHEMA

NAMES: Final = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
metadata = sa.MetaData(schema=SCHEMA, naming_convention=NAMES)

NOBODYS: Final[Mapping[str, str]] = {
    "alembic_version": "the release that the tables are of",
    "audit_seals": "the chain over everybody's entries",
    "data_keys": "keys of the installation, for what is found again without being stored",
    "encryption_keys": "names of the keys that seal what is of every team",
    "institutions": "banks, as a provider offers them to everybody",
    "operator_faults": "failures of runs, checks and ticks, which are the installation's",
    "provider_health": "a provider refuses us as a whole, whoever is asked for",
    "rate_limits": "rates that a provider grants us as a whole",
    "teams": "a team is itself: its id is what others call team_id",
    "webhook_refusals": "what was not believed says nothing of whom it is about",
}
"""Tables whose rows belong to no team, and why. Every other table has a column team_id."""
