"""Every table is guarded, and no row refers to another team: asked of the catalogue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.storage.migrate import renew_access
from bank_pipeline.storage.policies import ensure_policies
from bank_pipeline.storage.roles import READER, ensure_roles
from bank_pipeline.storage.tables import NOBODYS
from bank_pipeline_tests.storage.tenants import Teams, insert_teams, relations

TEAM_MAY_BE_UNKNOWN: Final = {
    "audit_log": "what is done for the whole installation; and a team may be erased by now",
    "consents_to_end": "of links that were given up before it was written down",
    "provider_calls": "calls for no connection, such as lists of banks",
    "webhook_events": "of connections that are not known yet, or never",
}


@pytest.fixture
def teams(engine: sa.Engine, now: datetime) -> Teams:
    with engine.begin() as db:
        return insert_teams(db, now)


def unguarded(db: sa.Connection) -> list[str]:
    """Name the tables and views that anybody could have forgotten something of."""
    query = sa.text(
        """
        SELECT c.relname || ': ' || problem FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'team_id'
        CROSS JOIN LATERAL (VALUES
            (c.relkind = 'v', 'reads as its owner',
             NOT coalesce(c.reloptions, '{}') @> ARRAY['security_invoker=true']),
            (c.relkind = 'v', 'is no barrier',
             NOT coalesce(c.reloptions, '{}') @> ARRAY['security_barrier=true']),
            (c.relkind <> 'v', 'is not guarded', NOT c.relrowsecurity),
            (c.relkind <> 'v', 'is not guarded from its owner', NOT c.relforcerowsecurity),
            (c.relkind <> 'v', 'has no policy for readers', a.attname IS NOT NULL AND NOT EXISTS (
                SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'own_team')),
            (c.relkind <> 'v', 'has no policy for analysts', a.attname IS NOT NULL AND NOT EXISTS (
                SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'analysts_team')),
            (c.relkind <> 'v', 'has no policy for syncs', NOT EXISTS (
                SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'everything')),
            (c.relkind <> 'v', 'says not whose it is',
             a.attname IS NULL AND c.relname <> ALL(:nobodys)),
            (c.relkind <> 'v', 'may not say whose it is',
             NOT a.attnotnull AND c.relname <> ALL(:unknown)),
            (c.relkind = 'm', 'keeps rows that no policy guards', true)
        ) AS given (is_kind, problem, is_so)
        WHERE c.relnamespace IN ('bank'::regnamespace, 'analytics'::regnamespace)
          AND c.relkind IN ('r', 'p', 'v', 'm') AND is_kind AND is_so ORDER BY 1
        """
    )
    names = {"nobodys": [*NOBODYS], "unknown": [*TEAM_MAY_BE_UNKNOWN]}
    return list(db.scalars(query, names))


def test_every_table_and_view_is_guarded(engine: sa.Engine) -> None:
    with engine.connect() as db:
        assert unguarded(db) == []


def test_a_new_table_or_view_that_somebody_forgot_is_noticed(engine: sa.Engine) -> None:
    """The test above would fail; and what the next migration does by itself mends most of it."""
    with engine.connect() as db:
        db.execute(sa.text("CREATE TABLE bank.forgotten (id int)"))
        db.execute(sa.text("CREATE TABLE bank.remembered (team_id uuid NOT NULL)"))
        db.execute(sa.text("CREATE VIEW analytics.forgotten AS SELECT id FROM bank.forgotten"))
        found = unguarded(db)
        ensure_policies(db)

        assert len(found) == 11
        assert unguarded(db) == ["forgotten: says not whose it is"]


def test_every_table_of_nobody_is_there_and_has_a_reason(engine: sa.Engine) -> None:
    tables = {name.removeprefix("bank.") for name in relations(engine, "bank")}

    assert set(NOBODYS) <= tables
    assert all(NOBODYS.values())


def test_renewing_access_changes_nothing_that_is_right(engine: sa.Engine) -> None:
    query = sa.text("SELECT oid, polname, polroles FROM pg_policy ORDER BY oid")
    with engine.connect() as db:
        before = db.execute(query).all()
    renew_access(engine)
    with engine.connect() as db:
        assert db.execute(query).all() == before


def test_a_role_that_comes_later_gets_its_rows(engine: sa.Engine) -> None:
    """As an administrator creates one on a server where we may not."""
    with engine.connect() as db:
        policies = sa.text(
            "SELECT tablename FROM pg_policies WHERE 'bank_reader' = ANY(roles) ORDER BY 1"
        )
        before = db.scalars(policies).all()
        for table in before:
            db.execute(sa.text(f"DROP POLICY own_team ON bank.{table}"))
        db.execute(sa.text("REVOKE ALL ON ALL TABLES IN SCHEMA bank FROM bank_reader"))
        ensure_roles(db)
        ensure_policies(db)

        assert db.scalars(policies).all() == before


@pytest.fixture
def reader(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction of the gateway's role, that has named no team yet."""
    with engine.connect() as db:
        db.execute(sa.text(f"SET LOCAL ROLE {READER}"))
        yield db


def read_all(engine: sa.Engine, db: sa.Connection) -> dict[str, Sequence[Any]]:
    """Read every table and view that the role may read at all."""
    found = {}
    for relation in [*relations(engine, "bank"), *relations(engine, "analytics")]:
        may = sa.text("SELECT has_table_privilege(:relation, 'SELECT')")
        if db.scalar(may, {"relation": relation}):
            found[relation] = db.scalars(sa.text(f"SELECT v::text FROM {relation} v")).all()
    return found


@pytest.mark.parametrize("team_id", [None, ""])
def test_a_reader_without_a_team_sees_no_row(
    engine: sa.Engine, reader: sa.Connection, teams: Teams, team_id: str | None
) -> None:
    """Of any table or view; empty is what a setting is after the transaction that set it."""
    if team_id is not None:
        reader.execute(sa.text("SET LOCAL bank.team_id = ''"))
    found = read_all(engine, reader)

    assert len(found) > 30
    assert [relation for relation, rows in found.items() if rows] == []


def test_a_reader_sees_the_team_that_was_named(
    engine: sa.Engine, reader: sa.Connection, teams: Teams
) -> None:
    reader.execute(
        sa.text("SELECT set_config('bank.team_id', :team, true)"), {"team": teams.our_id}
    )
    found = read_all(engine, reader)

    assert [relation for relation, rows in found.items() if teams.leaks("".join(rows))] == []
    assert sum(len(rows) for rows in found.values()) > 30


def test_a_reader_writes_nothing(engine: sa.Engine, reader: sa.Connection, teams: Teams) -> None:
    reader.execute(
        sa.text("SELECT set_config('bank.team_id', :team, true)"), {"team": teams.our_id}
    )
    for table in relations(engine, "bank"):
        for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            may = sa.text("SELECT has_table_privilege(:table, :right)")
            assert not reader.scalar(may, {"table": table, "right": right}), f"{right} {table}"


@dataclass(frozen=True)
class Reference:
    """A foreign key: which columns of a table name which of another one's."""

    name: str
    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


def references(db: sa.Connection) -> list[Reference]:
    """List every foreign key of the schema, but those to what belongs to no team."""
    query = sa.text(
        """
        SELECT k.conname::text, k.conrelid::regclass::text, k.confrelid::regclass::text,
               ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS one (n, place)
                     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n
                     ORDER BY place),
               ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS one (n, place)
                     JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n
                     ORDER BY place)
        FROM pg_constraint k
        WHERE k.contype = 'f' AND k.connamespace = 'bank'::regnamespace
        ORDER BY 2, 1
        """
    )
    return [
        Reference(name, table, tuple(columns), target, tuple(target_columns))
        for name, table, target, columns, target_columns in db.execute(query)
        if target.removeprefix("bank.") not in NOBODYS
    ]


def test_no_row_can_refer_to_another_teams_row(engine: sa.Engine, teams: Teams) -> None:
    """By any reference there is: it names the team, and the database refuses to mix them."""
    with engine.connect() as db:
        found = references(db)
        for one in found:
            assert one.columns[1:] == one.target_columns[1:] == ("team_id",), one.name
            theirs = teams.theirs[one.target.removeprefix("bank.")]["id"]
            change = sa.text(
                f"UPDATE {one.table} SET {one.columns[0]} = :theirs WHERE team_id = :ours"
            )
            place = db.begin_nested()
            if one.table != one.target:  # so that no other key is in the way
                gone = sa.text(f"DELETE FROM {one.table} WHERE team_id = :theirs")
                db.execute(gone, {"theirs": teams.their_id})
            with pytest.raises(sa.exc.IntegrityError, match=one.name), db.begin_nested():
                db.execute(change, {"theirs": theirs, "ours": teams.our_id})
            place.rollback()
            moved = sa.text(f"UPDATE {one.table} SET team_id = :theirs WHERE team_id = :ours")
            with pytest.raises(sa.exc.IntegrityError), db.begin_nested():
                db.execute(moved, {"theirs": teams.their_id, "ours": teams.our_id})

    assert len(found) > 20


def test_a_row_with_a_parent_says_whose_it_is(engine: sa.Engine, teams: Teams) -> None:
    """A reference whose team is not known would not be checked."""
    with engine.connect() as db:
        for table in TEAM_MAY_BE_UNKNOWN.keys() - {"audit_log", "webhook_events"}:
            unknown = sa.text(f"UPDATE bank.{table} SET team_id = NULL WHERE team_id = :ours")
            with pytest.raises(sa.exc.IntegrityError, match="team_id_check"), db.begin_nested():
                db.execute(unknown, {"ours": teams.our_id})


def test_a_team_that_goes_takes_all_its_rows_along(engine: sa.Engine, teams: Teams) -> None:
    with engine.connect() as db:
        db.execute(sa.text("DELETE FROM bank.teams WHERE id = :id"), {"id": teams.their_id})
        left = {
            relation: rows
            for relation in relations(engine, "bank")
            if (rows := db.scalars(sa.text(f"SELECT v::text FROM {relation} v")).all())
        }

    outlive = {"bank.audit_log", "bank.erasures"}  # erasing a team deals with them
    assert (
        teams.leaks(repr({name: rows for name, rows in left.items() if name not in outlive})) == []
    )
    assert len(left) > 30


def test_functions_that_run_as_their_owner_are_closed_and_look_nowhere_else(
    engine: sa.Engine,
) -> None:
    """Not to everybody; and no object that somebody planted goes before what they name."""
    query = sa.text(
        """
        SELECT p.proname, has_function_privilege('public', p.oid, 'EXECUTE') AS is_open,
               array_to_string(p.proconfig, ' ') AS settings
        FROM pg_proc p WHERE p.prosecdef AND p.pronamespace NOT IN
            ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1
        """
    )
    with engine.connect() as db:
        found = [tuple(row) for row in db.execute(query)]

    path = "search_path=pg_catalog, pg_temp"
    assert {"analyst_team", "reader_team"} <= {name for name, *_ in found}
    assert [one for one in found if one[1:] != (False, path)] == []


@pytest.mark.parametrize("role", ["analyst", READER, "public"])
def test_schemas_are_closed_where_they_should_be(engine: sa.Engine, role: str) -> None:
    """To Dagster's for everybody, and nobody plants things where we might look for one."""
    query = sa.text("SELECT has_schema_privilege(:role, :schema, :right)")
    with engine.connect() as db:
        schemas = db.scalars(sa.text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'"))
        rights = {
            (schema, right)
            for schema in schemas.all()
            for right in ("USAGE", "CREATE")
            if db.scalar(query, {"role": role, "schema": schema, "right": right})
        }
    usual = {("public", "USAGE"), ("information_schema", "USAGE")}
    own = {"analyst": {"analytics"}, READER: {"analytics", "bank"}, "public": set()}[role]

    assert rights == usual | {(schema, "USAGE") for schema in own}
