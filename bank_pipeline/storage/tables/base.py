"""The one metadata that all tables are in, and how keys, indexes and checks are named."""

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
