"""
Which rows each role sees: row-level security, on every table of the schema that there is.

Whoever owns the tables or writes them sees every row, unless the login is registered as an
analyst's. A reader sees the team that its transaction has named, an analyst the team of the
login. Tables that belong to no team are nobody's rows, but for a few that everybody may see
who has a team. A superuser sees all of it: PostgreSQL asks no policy for those.

Here and not in migrations, because a server may get its roles later than its tables, and so
that a new table cannot be forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg.sql
import sqlalchemy as sa

from bank_pipeline.storage.roles import ANALYST, OWNER, READER, WRITER, load_missing_roles

EVERYTHING: Final = "everything"
OWN_TEAM: Final = "own_team"
ANALYSTS_TEAM: Final = "analysts_team"

SHARED: Final = frozenset({"institutions", "provider_health"})
"""Tables of no team that whoever has a team may see: banks, and what a provider refuses."""

_NO_ANALYST: Final = "(SELECT bank.analyst_team()) IS NULL"
_TEAM_OF: Final = {READER: "(SELECT bank.reader_team())", ANALYST: "(SELECT bank.analyst_team())"}
"""In brackets, so that it is asked once per statement and not once per row."""


@dataclass(frozen=True)
class _Table:
    name: str
    owner: str
    has_team: bool
    is_guarded: bool


@dataclass(frozen=True)
class _Policy:
    name: str
    roles: tuple[str, ...]
    is_read_only: bool
    condition: str


def ensure_policies(db: sa.Connection) -> None:
    """
    Guard every table of `bank`, and let the views of `analytics` read as whoever asks them.

    Writes what is missing. Roles that the server does not have get no policy; called again
    once they are there, they do.
    """
    missing = load_missing_roles(db)
    held = {(row.tablename, row.policyname): frozenset(row.roles) for row in db.execute(_POLICIES)}
    statements: list[str] = []
    for row in db.execute(_TABLES):
        table = _Table(row.relname, row.owner, has_team=row.has_team, is_guarded=row.is_guarded)
        if not table.is_guarded:
            statements += _quoted(_ENABLE, table.name), _quoted(_FORCE, table.name)
        for policy in _policies(table, missing):
            roles = held.get((table.name, policy.name))
            if roles == frozenset(policy.roles):
                continue
            if roles is not None:
                statements.append(_quoted("DROP POLICY {} ON bank.{}", policy.name, table.name))
            statements.append(_to_statement(table, policy))
    statements += [_quoted(_AS_WHO_ASKS, view) for view in db.scalars(_OPEN_VIEWS)]
    if statements:
        db.exec_driver_sql("; ".join(statements).replace("%", "%%"))


def _policies(table: _Table, missing: frozenset[str]) -> Iterator[_Policy]:
    # Of itself the table of analysts cannot ask who is one.
    condition = "true" if table.name == "analysts" else _NO_ANALYST
    roles = (table.owner, *(one for one in (OWNER, WRITER) if one not in missing))
    yield _Policy(EVERYTHING, roles, is_read_only=False, condition=condition)
    for role, name in ((READER, OWN_TEAM), (ANALYST, ANALYSTS_TEAM)):
        seen = _condition(table, _TEAM_OF[role])
        if seen and role not in missing:
            yield _Policy(name, (role,), is_read_only=True, condition=seen)


def _condition(table: _Table, team: str) -> str | None:
    if table.name in SHARED:
        return f"{team} IS NOT NULL"
    if table.name == "teams":
        return f"id = {team}"
    return f"team_id = {team}" if table.has_team else None


def _to_statement(table: _Table, policy: _Policy) -> str:
    command = "SELECT" if policy.is_read_only else "ALL"
    roles = ", ".join(["{}"] * len(policy.roles))
    statement = f"CREATE POLICY {{}} ON bank.{{}} FOR {command} TO {roles} "
    statement += f"USING ({policy.condition})"  # our own words: what is given is quoted
    return _quoted(statement, policy.name, table.name, *policy.roles)


def _quoted(statement: str, *names: str) -> str:
    quoted = psycopg.sql.SQL(statement).format(*map(psycopg.sql.Identifier, names))
    return quoted.as_string(None)


_ENABLE: Final = "ALTER TABLE bank.{} ENABLE ROW LEVEL SECURITY"
_FORCE: Final = "ALTER TABLE bank.{} FORCE ROW LEVEL SECURITY"
_AS_WHO_ASKS: Final = (
    "ALTER VIEW analytics.{} SET (security_invoker = true, security_barrier = true)"
)
_TABLES: Final = sa.text(
    """
    SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS is_guarded,
           pg_get_userbyid(c.relowner) AS owner,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'team_id'
                   AND NOT a.attisdropped) AS has_team
    FROM pg_class c
    WHERE c.relnamespace = 'bank'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname
    """
)
_POLICIES: Final = sa.text(
    "SELECT tablename, policyname, roles::text[] AS roles FROM pg_policies "
    "WHERE schemaname = 'bank'"
)
_OPEN_VIEWS: Final = sa.text(
    """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind = 'v'
      AND NOT coalesce(c.reloptions, '{}')
          @> ARRAY['security_invoker=true', 'security_barrier=true']
    ORDER BY c.relname
    """
)
