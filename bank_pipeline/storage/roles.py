"""
The database's group roles and what each may do.

bank_owner: everything. bank_writer: what a sync does. bank_reader: reads `bank` but nothing
encrypted and no raw answers. analyst: reads the views in `analytics`. None may log in:
an operator grants them to people (`GRANT analyst TO alice`).
"""

from typing import Final

import sqlalchemy as sa

OWNER, WRITER, READER, ANALYST = "bank_owner", "bank_writer", "bank_reader", "analyst"
ROLES: Final = (OWNER, WRITER, READER, ANALYST)
_CLOSED_TO_READERS: Final = (
    "bank.consents_to_end, bank.credentials, bank.link_sessions, bank.next_consents, "
    "bank.notification_targets, bank.raw_payloads"
)
_GRANTS: Final = {
    OWNER: (
        "GRANT ALL ON SCHEMA bank, analytics TO bank_owner",
        "GRANT ALL ON ALL TABLES IN SCHEMA bank, analytics TO bank_owner",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA bank TO bank_owner",
    ),
    WRITER: (
        "GRANT USAGE ON SCHEMA bank, analytics TO bank_writer",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bank TO bank_writer",
        "REVOKE INSERT, UPDATE, DELETE ON bank.alembic_version FROM bank_writer",
        "REVOKE UPDATE, DELETE ON bank.audit_log, bank.audit_seals FROM bank_writer",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA bank TO bank_writer",
        "GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO bank_writer",
    ),
    READER: (
        "GRANT USAGE ON SCHEMA bank, analytics TO bank_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA bank, analytics TO bank_reader",
        f"REVOKE ALL ON {_CLOSED_TO_READERS} FROM bank_reader",
    ),
    ANALYST: (
        "GRANT USAGE ON SCHEMA analytics TO analyst",
        "GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO analyst",
    ),
}
# Roles belong to the whole server: another database may be making the same one right now.
_CREATE: Final = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$
"""


def ensure_roles(db: sa.Connection) -> frozenset[str]:
    """
    Create the roles, give the existing ones their rights, and return those that are missing.

    A role is missing where our user has no CREATEROLE (managed servers): nothing of ours
    needs it. Once an administrator has created it, the next call gives it its rights.
    """
    for role in sorted(load_missing_roles(db)):
        db.execute(sa.text(_CREATE.format(role=role)))
    missing = load_missing_roles(db)
    for role in ROLES:
        if role not in missing:
            for statement in _GRANTS[role]:
                db.execute(sa.text(statement))
    return missing


def load_missing_roles(db: sa.Connection) -> frozenset[str]:
    """Return those of our roles that the server does not have."""
    found = db.scalars(
        sa.text("SELECT rolname::text FROM pg_roles WHERE rolname = ANY(:roles)"),
        {"roles": list(ROLES)},
    )
    return frozenset(ROLES) - set(found)
