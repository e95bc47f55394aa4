"""No row of another team, however an analyst asks for it, in whatever views and tables exist."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa

from bank_pipeline.storage.tables import metadata
from bank_pipeline_tests.storage.tenants import (
    Teams,
    analyst_of,
    insert_teams,
    listening,
    relations,
    try_it,
)

LEAK: Final = """
    CREATE FUNCTION pg_temp.leak(given text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE NOTICE '%', given; RETURN true; END $$
"""
WAYS: Final = {
    "select": "SELECT v::text FROM {view} v",
    "table": "TABLE {view}",
    "join": "SELECT a::text, b::text FROM {view} a CROSS JOIN {view} b",
    "subquery": "SELECT (SELECT string_agg(v::text, ' ') FROM {view} v)",
    "lateral": "SELECT w::text FROM {view} v, LATERAL (SELECT v.*) w",
    "leaky condition": "SELECT count(*) FROM {view} v WHERE pg_temp.leak(v::text)",
    "leaky order": "SELECT count(*) FROM (SELECT * FROM {view} v ORDER BY pg_temp.leak(v::text)) s",
    "leaky join": "SELECT count(*) FROM {view} a JOIN {view} b ON pg_temp.leak(a::text || b::text)",
    "error message": "SELECT CAST(v::text AS integer) FROM {view} v",
    "division": "SELECT 1 / (CASE WHEN v::text LIKE '%of others%' THEN 0 ELSE 1 END) FROM {view} v",
    "division in condition": "SELECT 1 FROM {view} v "
    "WHERE 1 / (CASE WHEN v::text LIKE '%of others%' THEN 0 ELSE 1 END) = 1",
    "explain": "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM {view} v WHERE v::text <> ''",
    "xml": "SELECT query_to_xml('SELECT * FROM {view}', true, true, '')",
    "json": "SELECT json_agg(v) FROM {view} v",
    "temporary table": "CREATE TEMPORARY TABLE held AS TABLE {view}; TABLE held; DROP TABLE held",
}
DOORS: Final = (
    "SELECT * FROM {table}",
    "TABLE {table}",
    "COPY {table} TO STDOUT",
    "SELECT table_to_xml('{table}', true, true, '')",
    "SELECT * FROM {table} TABLESAMPLE SYSTEM (100)",
    "SELECT pg_relation_filepath('{table}')",
    "EXPLAIN SELECT * FROM {table}",
    "INSERT INTO {table} DEFAULT VALUES",
    "DELETE FROM {table}",
)


@pytest.fixture
def teams(engine: sa.Engine, now: datetime) -> Teams:
    with engine.begin() as db:
        return insert_teams(db, now)


@pytest.fixture
def ours(engine: sa.Engine, teams: Teams, now: datetime) -> Iterator[psycopg.Connection[Any]]:
    """The session of an analyst of ours, who may write as far as anybody lets them."""
    with analyst_of(engine, teams.our_id, now) as url, listening(url) as (connection, said):
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(LEAK)
        yield connection
        assert teams.leaks(" ".join(said)) == []


def test_no_view_shows_an_analyst_another_team(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """By any way to ask for rows, nor by what a statement says of those that it threw away."""
    views = relations(engine, "analytics")
    for view in views:
        for way, statement in WAYS.items():
            said = "".join(try_it(ours, part) for part in statement.format(view=view).split("; "))
            assert teams.leaks(said) == [], f"{view} by {way}"
            assert "division by zero" not in said, f"{view} by {way}"

    assert len(views) > 10


def test_an_analyst_counts_the_rows_of_their_team(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """All of them, and nobody else's; of views that tell of no team, as many as there are."""
    counts = []
    with engine.connect() as db:
        for view in relations(engine, "analytics"):
            has_team = "team_id" in [*db.execute(sa.text(f"SELECT * FROM {view} LIMIT 0")).keys()]
            mine = f" WHERE team_id = '{teams.our_id}'" if has_team else ""
            wanted = db.scalar(sa.text(f"SELECT count(*) FROM {view}{mine}"))
            [found] = ours.execute(f"SELECT count(*) FROM {view}").fetchone() or [None]
            assert (view, found) == (view, wanted)
            both = db.scalar(sa.text(f"SELECT count(*) FROM {view}"))
            counts.append((has_team, wanted, both))

    assert sum(has_team and 0 < wanted < both for has_team, wanted, both in counts) > 8


def test_copies_and_cursors_show_an_analyst_their_team_alone(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    for view in relations(engine, "analytics"):
        with ours.cursor() as cursor, cursor.copy(f"COPY (TABLE {view}) TO STDOUT") as copied:
            assert teams.leaks(b"".join(copied).decode()) == [], view
        with ours.transaction(), ours.cursor(f"held {view}", scrollable=True) as held:
            held.execute(f"TABLE {view}")
            assert teams.leaks(repr(held.fetchall())) == [], view


def test_tables_are_closed_to_an_analyst(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """They cannot even be named, nor can anything of Dagster's."""
    closed = [*relations(engine, "bank"), *relations(engine, "dagster")]
    for table in closed:
        for door in DOORS:
            said = try_it(ours, door.format(table=table))
            assert "permission denied for schema" in said, f"{table}: {door}"
    ours.execute("SET search_path = bank, dagster")
    for held in metadata.tables.values():
        assert "does not exist" in try_it(ours, f"TABLE {held.name}")


def test_no_setting_role_or_name_lets_an_analyst_see_more(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """Not the gateway's setting, other roles, or things of their own by the same names."""
    their, login = teams.their_id, ours.info.user
    tricks = (
        f"SET bank.team_id = '{their}'",
        "SET row_security = off",
        "SET ROLE bank_reader",
        "SET ROLE bank_writer",
        "SET ROLE bank_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET ROLE analyst",
        "CREATE SCHEMA bank",
        "CREATE FUNCTION public.uuid_eq(uuid, uuid) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "CREATE TEMPORARY TABLE analysts (login text, team_id uuid)",
        f"INSERT INTO pg_temp.analysts VALUES ('{login}', '{their}')",
        f"CREATE FUNCTION pg_temp.analyst_team() RETURNS uuid RETURN '{their}'::uuid",
        "CREATE FUNCTION pg_temp.yes(uuid, uuid) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "CREATE OPERATOR pg_temp.= (FUNCTION = pg_temp.yes, LEFTARG = uuid, RIGHTARG = uuid)",
        "SET search_path = pg_temp, analytics, pg_catalog",
        f"UPDATE bank.analysts SET team_id = '{their}'",
        "SELECT bank.analyst_team()",
        "ALTER VIEW analytics.transactions SET (security_invoker = false)",
    )
    for trick in tricks:
        try_it(ours, trick)
        for view in relations(engine, "analytics"):
            assert teams.leaks(try_it(ours, f"SELECT v::text FROM {view} v")) == [], trick


def test_figures_of_the_planner_tell_an_analyst_nothing(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """And they hold nothing of people at all, as they would outlive the rows."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as db:
        db.execute(sa.text("ANALYZE"))
        values = "most_common_vals::text, histogram_bounds::text, most_common_elems::text"
        kept = db.execute(sa.text(f"SELECT {values} FROM pg_stats WHERE schemaname = 'bank'"))
        assert "counterparty_name of" not in repr(kept.all())

    for name in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
        asked = f"SELECT * FROM {name} WHERE schemaname IN ('bank', 'analytics', 'dagster')"
        assert try_it(ours, asked) == "[]", name
    assert "permission denied" in try_it(ours, "TABLE pg_statistic")


def test_a_bank_that_others_linked_looks_to_an_analyst_as_if_nobody_had(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """Everybody sees which banks there are, and nobody who has one."""
    asked = "SELECT popularity, history_days_learned FROM analytics.institutions"
    bank = {"bank": teams.ours["institutions"]["external_id"]}
    for whose, seen in ((teams.our_id, "[(1, 90)]"), (teams.their_id, "[(0, None)]")):
        with engine.begin() as db:
            db.execute(sa.text("UPDATE bank.institutions SET history_days_learned = 90"))
            db.execute(sa.text("UPDATE bank.connections SET institution_external_id = NULL"))
            linked = sa.text(
                "UPDATE bank.connections SET institution_external_id = :bank WHERE team_id = :team"
            )
            db.execute(linked, bank | {"team": whose})
            assert db.execute(sa.text(asked)).one() == (1, 90)
        assert try_it(ours, asked) == seen


@pytest.mark.parametrize("role", ["bank_reader", "bank_writer", "bank_owner"])
def test_an_analyst_with_another_role_still_sees_their_team_alone(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams, role: str
) -> None:
    """An operator's slip: who is registered as an analyst is one, whatever they become."""
    with engine.begin() as db:
        db.execute(sa.text(f'GRANT {role} TO "{ours.info.user}"'))
    for become in ("RESET ROLE", f"SET ROLE {role}"):
        ours.execute(become)
        ours.execute(f"SET bank.team_id = '{teams.their_id}'")
        readable = [*relations(engine, "analytics"), *relations(engine, "bank")]
        for relation in readable:
            if relation != "bank.analysts":  # which login sees which team is no team's row
                said = try_it(ours, f"SELECT v::text FROM {relation} v")
                assert teams.leaks(said) == [], f"{relation} after {become}"
    ours.execute("RESET ROLE")
    assert str(teams.our_id) in try_it(ours, "SELECT team_id FROM analytics.transactions")


def test_an_analyst_that_nobody_registered_sees_no_row(
    engine: sa.Engine, ours: psycopg.Connection[Any], teams: Teams
) -> None:
    """The role alone opens nothing, nor what everybody with a team sees."""
    with engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.analysts"))

    for view in relations(engine, "analytics"):
        assert try_it(ours, f"SELECT count(*) FROM {view}") == "[(0,)]", view
    with engine.begin() as db:  # so that it can be removed
        row = {"login": ours.info.user, "team": teams.our_id}
        db.execute(sa.text("INSERT INTO bank.analysts VALUES (:login, :team, now())"), row)
