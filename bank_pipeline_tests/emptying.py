"""Empty what refuses to be emptied: a superuser may, and tests do."""

from typing import Final

from bank_pipeline.storage.tables import audit_log, audit_seals

EMPTY_AUDIT: Final = "; ".join(
    (
        "SET LOCAL session_replication_role = replica",  # no trigger fires
        f"DELETE FROM {audit_seals}",
        f"DELETE FROM {audit_log}",
        "SET LOCAL session_replication_role = origin",
    )
)
"""For one transaction, before all tables are emptied."""
