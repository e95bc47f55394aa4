"""What our own login sees: the gateway one team, and nobody an empty installation by mistake."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded
from bank_pipeline.storage.analysts import close_analyst, drop_login, insert_analyst
from bank_pipeline.storage.connections import load_team_name
from bank_pipeline.storage.copying import copy_rows
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.migrate import downgrade, renew_access
from bank_pipeline.storage.reading import ACCOUNTS, TRANSACTIONS, TeamRows
from bank_pipeline.storage.revisions import load_revisions
from bank_pipeline.storage.roles import ROLES
from bank_pipeline.storage.sight import check_sight, load_sight, seen_by_team
from bank_pipeline.storage.tables import transactions
from bank_pipeline_tests.builders import transaction
from bank_pipeline_tests.storage.linked import apply, link
from bank_pipeline_tests.storage.tenants import (
    Teams,
    demand_passwords,
    insert_teams,
    plain_login,
)
from bank_pipeline_tests.vaults import VAULT

WHO = sa.text("SELECT current_user::text, current_setting('bank.team_id', true)")


@pytest.fixture
def teams(engine: sa.Engine, now: datetime) -> Teams:
    with engine.begin() as db:
        return insert_teams(db, now)


@pytest.fixture
def narrow(engine: sa.Engine) -> Iterator[sa.Engine]:
    """An engine with one session, so that whoever comes next gets the same one."""
    url = engine.url.render_as_string(hide_password=False)
    one = build_engine(url, connections_max=1)
    yield one
    one.dispose()


def test_a_pooled_session_carries_no_team_into_the_next_request(
    narrow: sa.Engine, teams: Teams
) -> None:
    """Whether the request ended well or not."""
    with narrow.connect() as db:
        whole = tuple(db.execute(WHO).one())
    with seen_by_team(narrow, teams.our_id) as db:
        assert tuple(db.execute(WHO).one()) == ("bank_reader", teams.our_id)
    with narrow.connect() as db:
        assert db.execute(WHO).one()[0] == whole[0]
        assert not db.execute(WHO).one()[1]
    with pytest.raises(sa.exc.DBAPIError), seen_by_team(narrow, teams.our_id) as db:
        db.execute(sa.text("SELECT 1 / 0"))
    with narrow.connect() as db:
        assert not db.execute(WHO).one()[1]
    with seen_by_team(narrow, teams.their_id) as db:
        assert load_team_name(db, teams.their_id) == teams.theirs["teams"]["name"]


def test_a_statement_that_forgets_the_team_shows_no_other(narrow: sa.Engine, teams: Teams) -> None:
    """What the gateway reads by is kept apart by the database, too."""
    rows = TeamRows(narrow, teams.our_id)
    with rows.connect() as db:
        seen = db.scalars(sa.text("SELECT t::text FROM analytics.transactions t")).all()

    assert len(seen) == 1
    assert teams.leaks(seen[0]) == []
    assert len(rows.page(TRANSACTIONS, limit=9).rows) == 1
    with pytest.raises(sa.exc.ProgrammingError), rows.connect() as db:
        db.execute(sa.text("SELECT * FROM bank.credentials"))


def test_rows_are_copied_by_whoever_is_no_superuser(server_url: str, now: datetime) -> None:
    """PostgreSQL does not copy into a guarded table for others; what a sync does goes on."""
    with plain_login(server_url) as engine, engine.begin() as db:
        assert db.scalar(sa.text("SELECT row_security_active('bank.transactions')"))
        linked = link(db, now)
        rows = [transaction(number) for number in range(1, 4)]
        first = apply(db, linked, *rows, now=now)
        changed = [transaction(number, description="other") for number in range(1, 4)]
        second = apply(db, linked, *changed, transaction(9), now=now)
        ids = db.scalars(sa.select(transactions.c.id).order_by(transactions.c.booking_date)).all()

        assert (first.inserted, second.inserted, second.updated, second.revised) == (3, 1, 3, 3)
        assert len(load_revisions(db, ids[0])) == 1
        assert copy_rows(db, transactions, ["id"], []) == 0


def test_copies_of_one_transaction_take_the_locks_of_one(server_url: str, now: datetime) -> None:
    """A long update copies page by page, and the server's table of locks is small."""
    with plain_login(server_url) as engine, engine.begin() as db:
        linked = link(db, now)
        apply(db, linked, transaction(1), now=now)
        locks = sa.text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
        before = db.scalar(locks)
        for number in range(2, 12):
            apply(db, linked, transaction(number), now=now)

        assert db.scalar(locks) == before
        assert db.scalar(sa.select(sa.func.count()).select_from(transactions)) == 11


def test_without_the_readers_role_the_gateway_goes_on_as_before(
    server_url: str, now: datetime
) -> None:
    """Its statements name the team; doctor says what is missing, and once granted it is used."""
    with plain_login(server_url) as engine:
        with engine.begin() as db:
            linked = link(db, now)
        rows = TeamRows(engine, linked.connection.team_id)
        sight = load_sight(engine)
        assert (sight.is_whole, sight.is_narrowed) == (True, False)
        assert len(rows.page(ACCOUNTS, limit=9).rows) == 2
        check_sight(engine)

        server = build_engine(server_url)
        with server.begin() as db:
            db.execute(sa.text(f"GRANT bank_reader TO {engine.url.username}"))
        server.dispose()
        engine.dispose()

        assert load_sight(engine).is_narrowed
        assert len(rows.page(ACCOUNTS, limit=9).rows) == 2
        assert TeamRows(engine, TeamId(new_id())).page(ACCOUNTS, limit=9).rows == []
        with rows.connect() as db:
            assert db.execute(WHO).one()[0] == "bank_reader"


def test_who_may_create_roles_becomes_a_reader_by_themselves(server_url: str) -> None:
    with plain_login(server_url, may_create_roles=True) as engine:
        server = build_engine(server_url)
        with server.begin() as db:
            db.execute(sa.text(f"GRANT bank_reader TO {engine.url.username} WITH ADMIN OPTION"))
        server.dispose()

        assert load_sight(engine).is_narrowed


def test_a_login_that_sees_no_row_is_told_so(engine: sa.Engine, teams: Teams) -> None:
    """It would find nothing to sync, and say that all is well."""
    name = f"blind_{new_id().replace('-', '')}"
    with engine.begin() as db:
        db.execute(sa.text(f"CREATE ROLE {name} LOGIN"))
        db.execute(sa.text(f"GRANT USAGE ON SCHEMA bank TO {name}"))
        db.execute(sa.text(f"GRANT EXECUTE ON FUNCTION bank.analyst_team() TO {name}"))
        db.execute(sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA bank TO {name}"))
    blind = build_engine(engine.url.set(username=name).render_as_string(hide_password=False))

    with pytest.raises(SetupError, match=r"GRANT bank_writer"):
        check_sight(blind)
    with engine.begin() as db:
        db.execute(sa.text(f"GRANT bank_writer TO {name}"))
    check_sight(blind)
    assert renew_access(blind) == frozenset(), "it has nothing to give, and says nothing"
    with blind.connect() as db:
        assert db.scalar(sa.text("SELECT count(*) FROM bank.transactions")) == 2

    blind.dispose()
    with engine.begin() as db:
        db.execute(sa.text(f"DROP OWNED BY {name}"))
        db.execute(sa.text(f"DROP ROLE {name}"))


def test_a_server_without_our_roles_will_do(tmp_path: Path, now: datetime) -> None:
    """Where nobody may create any: all is stored and read, and doctor says what is missing."""
    url = embedded.ensure_running(tmp_path, is_durable=False)
    try:
        with plain_login(url, has_roles=False) as engine:
            with engine.begin() as db:
                linked = link(db, now)
                assert apply(db, linked, transaction(1), now=now).inserted == 1
            sight = load_sight(engine)
            assert (sight.is_whole, sight.is_narrowed) == (True, False)
            assert sight.missing_roles == frozenset(ROLES)
            rows = TeamRows(engine, linked.connection.team_id)
            assert len(rows.page(TRANSACTIONS, limit=9).rows) == 1
            downgrade(engine, "base", VAULT)
    finally:
        embedded.stop(tmp_path)


def test_a_plain_login_that_may_create_roles_makes_and_removes_analysts(
    server_url: str, now: datetime
) -> None:
    """Its sessions too, which are not its own to end by itself."""
    with plain_login(server_url, may_create_roles=True) as engine:
        with engine.begin() as db:
            linked = link(db, now)
        login = f"analyst-{new_id()}"
        version = engine.dialect.server_version_info
        if version and version >= (16,):  # before, whoever made roles could give any
            with pytest.raises(SetupError, match="ADMIN"), engine.begin() as db:
                insert_analyst(db, login, linked.connection.team_id, now=now)

        server = build_engine(server_url)
        with server.begin() as db:
            db.execute(sa.text(f"GRANT analyst TO {engine.url.username} WITH ADMIN OPTION"))
        demand_passwords(server)
        server.dispose()
        with engine.begin() as db:
            password = insert_analyst(db, login, linked.connection.team_id, now=now)
        url = engine.url.set(username=login, password=password.get_secret_value())
        theirs = build_engine(url.render_as_string(hide_password=False))
        with theirs.connect() as session:
            accounts = sa.text("SELECT count(*) FROM accounts")
            assert session.scalar(accounts) == 2
            with engine.begin() as db:
                close_analyst(db, login)
            assert session.scalar(accounts) == 0
            with engine.begin() as db:
                drop_login(db, login)
            with pytest.raises(sa.exc.OperationalError):
                session.execute(accounts)
        theirs.dispose()
