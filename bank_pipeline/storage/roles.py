"""
The database's group roles and what each may do.

bank_owner: everything. bank_writer: what a sync does. bank_reader: reads `bank`, one team at a
time, but nothing encrypted and no raw answers. analyst: reads the views in `analytics`, and what
they are made of through them alone. None may log in; `storage.policies` says which rows each
sees, and `storage.analysts` makes logins of analysts.
"""

from typing import Final

import sqlalchemy as sa

OWNER, WRITER, READER, ANALYST = "bank_owner", "bank_writer", "bank_reader", "analyst"
ROLES: Final = (OWNER, WRITER, READER, ANALYST)
_CLOSED_TO_READERS: Final = (
    "bank.analysts, bank.api_keys, bank.audit_log, bank.audit_seals, bank.consents_to_end, "
    "bank.credentials, bank.data_keys, bank.encryption_keys, bank.erasures, bank.link_sessions, "
    "bank.next_consents, bank.notification_targets, bank.raw_payloads"
)
_GRANTS: Final = {
    OWNER: (
        "GRANT ALL ON SCHEMA bank, analytics TO bank_owner",
        "GRANT ALL ON ALL TABLES IN SCHEMA bank, analytics TO bank_owner",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA bank TO bank_owner",
        "GRANT EXECUTE ON FUNCTION bank.analyst_team() TO bank_owner",
    ),
    WRITER: (
        "GRANT USAGE ON SCHEMA bank, analytics TO bank_writer",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bank TO bank_writer",
        "REVOKE INSERT, UPDATE, DELETE ON bank.alembic_version FROM bank_writer",
        "REVOKE INSERT, UPDATE, DELETE ON bank.analysts FROM bank_writer",
        "GRANT EXECUTE ON FUNCTION bank.analyst_team() TO bank_writer",
        "REVOKE UPDATE, DELETE ON bank.audit_log, bank.audit_seals FROM bank_writer",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA bank TO bank_writer",
        "GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO bank_writer",
    ),
    READER: (
        "GRANT USAGE ON SCHEMA bank, analytics TO bank_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA bank, analytics TO bank_reader",
        f"REVOKE ALL ON {_CLOSED_TO_READERS} FROM bank_reader",
        "GRANT EXECUTE ON FUNCTION bank.reader_team() TO bank_reader",
    ),
    ANALYST: (
        "GRANT USAGE ON SCHEMA analytics TO analyst",
        "GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO analyst",
        "GRANT EXECUTE ON FUNCTION bank.analyst_team() TO analyst",
        "REVOKE ALL ON ALL TABLES IN SCHEMA bank FROM analyst",
    ),
}
# The views read as whoever asks them, who needs the columns that they are made of. To an analyst
# the schema stays closed, so that these cannot be named in any other way.
_COLUMNS_OF_VIEWS: Final = sa.text(
    """
    SELECT format('GRANT SELECT (%s) ON bank.%I TO ',
                  string_agg(DISTINCT quote_ident(a.attname), ', '), t.relname)
    FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class AND v.relnamespace = 'analytics'::regnamespace
    JOIN pg_class t ON t.oid = d.refobjid AND t.relnamespace = 'bank'::regnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjsubid > 0
    GROUP BY t.relname ORDER BY t.relname
    """
)
# Roles belong to the whole server: another database may be making the same one right now.
_CREATE: Final = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$
"""
# What only the database's owner or a role's administrator may do: done where we may. Nobody plants
# functions where our own statements might look for one; the gateway reads as bank_reader.
_WHERE_WE_MAY: Final = (
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "EXECUTE format('GRANT CONNECT ON DATABASE %I TO analyst', current_database())",
    """
    IF NOT pg_has_role('bank_reader', 'MEMBER') THEN GRANT bank_reader TO CURRENT_USER;
    ELSIF current_setting('server_version_num')::int >= 160000
      AND NOT pg_has_role('bank_reader', 'SET') THEN
        EXECUTE 'GRANT bank_reader TO CURRENT_USER WITH INHERIT FALSE, SET TRUE';
    END IF
    """,
)
_TRY: Final = """
DO $$ BEGIN
    {statement};
EXCEPTION
    WHEN insufficient_privilege OR undefined_object OR invalid_schema_name THEN NULL;
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
    grants = [grant for role in ROLES if role not in missing for grant in _GRANTS[role]]
    for grant in db.scalars(_COLUMNS_OF_VIEWS):
        grants += (grant + role for role in (READER, ANALYST) if role not in missing)
    if grants:
        db.exec_driver_sql("; ".join(grants).replace("%", "%%"))
    for statement in _WHERE_WE_MAY:
        db.exec_driver_sql(_TRY.format(statement=statement.replace("%", "%%")))
    return missing


def load_missing_roles(db: sa.Connection) -> frozenset[str]:
    """Return those of our roles that the server does not have."""
    found = db.scalars(
        sa.text("SELECT rolname::text FROM pg_roles WHERE rolname = ANY(:roles)"),
        {"roles": list(ROLES)},
    )
    return frozenset(ROLES) - set(found)
