"""Migrations build what the tables page says, up and down, with rows in every table."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.accounts import load_accounts
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import rebuild_series
from bank_pipeline.storage.columns import SCHEMA
from bank_pipeline.storage.consents import load_next_consent
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.migrate import downgrade, head, load_pending, load_revision, migrate
from bank_pipeline.storage.roles import ROLES, ensure_roles
from bank_pipeline.storage.tables import metadata
from bank_pipeline_tests.emptying import EMPTY_AUDIT
from bank_pipeline_tests.storage.rows import insert_row_everywhere
from bank_pipeline_tests.vaults import VAULT


def revisions(engine: sa.Engine) -> tuple[str, ...]:
    with engine.connect() as db:
        return load_pending(db)


def test_the_migrations_build_what_the_tables_page_says(engine: sa.Engine) -> None:
    """Tables, columns, types, defaults, keys, indexes and comments."""
    with engine.connect() as db:
        context = MigrationContext.configure(
            db,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
                "include_object": lambda _, name, *__: name != "alembic_version",
                "compare_server_default": True,
            },
        )
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_the_migrations_build_the_checks_of_the_tables_page(
    engine: sa.Engine, empty: sa.Engine
) -> None:
    """Alembic does not compare checks, so PostgreSQL's own text of them is compared."""
    with empty.begin() as db:
        db.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
        metadata.create_all(db)

    assert checks(engine) == checks(empty)


def checks(engine: sa.Engine) -> dict[tuple[str, str], str]:
    query = sa.text(
        "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) "
        "FROM pg_constraint WHERE contype = 'c' AND connamespace = CAST(:schema AS regnamespace)"
    )
    with engine.connect() as db:
        return {(row[0], row[1]): row[2] for row in db.execute(query, {"schema": SCHEMA})}


def test_migrating_again_does_nothing(empty: sa.Engine) -> None:
    first, second = migrate(empty), migrate(empty)

    assert (first.from_revision, first.to_revision, first.has_changed) == (None, head(), True)
    assert (second.from_revision, second.has_changed) == (head(), False)


def test_processes_that_migrate_at_once_take_turns(empty: sa.Engine) -> None:
    """One does it, the others find it done."""
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: migrate(empty), range(8)))

    assert sum(report.has_changed for report in reports) == 1


def test_who_waited_for_a_migration_sees_it_done(empty: sa.Engine) -> None:
    """In the transaction in which they waited, and had looked before: nothing cached answers."""
    with empty.begin() as waiting:
        assert load_revision(waiting) is None
        migrate(empty)
        assert load_revision(waiting) == head()


def test_a_full_database_goes_down_and_up_again(empty: sa.Engine, now: datetime) -> None:
    """From every revision, with rows in whatever tables are there."""
    steps = revisions(empty)
    migrate(empty)
    for target in [*reversed(steps[:-1]), "base"]:
        with empty.begin() as db:
            insert_row_everywhere(db, now)
        downgrade(empty, target, VAULT)
        with empty.connect() as db:
            assert load_revision(db) == (None if target == "base" else target)
        migrate(empty, VAULT)
        with empty.begin() as db:
            db.exec_driver_sql(EMPTY_AUDIT)
            for table in reversed(metadata.sorted_tables):
                db.execute(sa.delete(table))


def test_stable_ids_of_accounts_survive_the_way_down_and_up(
    empty: sa.Engine, now: datetime
) -> None:
    """Sealed on the way up, and in clear where an older release wants them."""
    migrate(empty)
    with empty.begin() as db:
        insert_row_everywhere(db, now)
    downgrade(empty, "0003", VAULT)
    with empty.connect() as db:
        assert db.scalar(sa.text("SELECT stable_external_id FROM bank.accounts")) == "iban:1"
    migrate(empty, VAULT)
    with empty.connect() as db:
        connection_id = db.scalar(sa.text("SELECT id::text FROM bank.connections"))
        [account] = load_accounts(db, ConnectionId(str(connection_id)), vault=VAULT)
        assert account.stable_external_ids == ("iban:1",)


def test_a_consent_with_which_nothing_came_is_read_after_the_way_up(
    empty: sa.Engine, now: datetime
) -> None:
    """Older releases wrote a null of JSON for that."""
    migrate(empty)
    with empty.begin() as db:
        insert_row_everywhere(db, now)
    downgrade(empty, "0015", VAULT)
    with empty.begin() as db:
        db.execute(sa.text("UPDATE bank.next_consents SET told = 'null'"))
    migrate(empty, VAULT)
    with empty.connect() as db:
        connection_id = db.scalar(sa.text("SELECT id::text FROM bank.connections"))
        consent = load_next_consent(db, ConnectionId(str(connection_id)), VAULT)
        assert consent is not None
        assert (consent.accounts, consent.balances) == (None, ())


def test_base_leaves_nothing_of_ours(empty: sa.Engine) -> None:
    migrate(empty)
    downgrade(empty, "base")

    query = sa.text(
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname IN ('bank', 'analytics') AND relkind IN ('r', 'v', 'S')"
    )
    with empty.connect() as db:
        assert db.scalars(query).all() == ["alembic_version"]


def test_a_failing_migration_changes_nothing(empty: sa.Engine) -> None:
    """All of it is one transaction: here a table is in the way of the second one."""
    with empty.begin() as db:
        db.execute(sa.text("CREATE SCHEMA bank"))
        db.execute(sa.text("CREATE TABLE bank.accounts ()"))

    with pytest.raises(sa.exc.ProgrammingError):
        migrate(empty)
    with empty.connect() as db:
        assert load_revision(db) is None
        assert db.scalar(sa.text("SELECT to_regclass('bank.teams')")) is None


def test_a_database_of_a_newer_release_is_refused(empty: sa.Engine) -> None:
    migrate(empty)
    with empty.begin() as db:
        db.execute(sa.text("UPDATE bank.alembic_version SET version_num = '9999'"))

    with pytest.raises(SetupError, match=r"revision 9999.*newer"):
        migrate(empty)


def test_a_user_without_createrole_migrates(empty: sa.Engine) -> None:
    """As on managed servers; the roles that an administrator made are used."""
    name = f"owner_{new_id().replace('-', '')}"
    with empty.begin() as db:
        db.execute(sa.text(f"CREATE ROLE {name} LOGIN"))
        db.execute(sa.text(f"GRANT CREATE ON DATABASE {empty.url.database} TO {name}"))
    owner = build_engine(empty.url.set(username=name).render_as_string())

    report = migrate(owner)
    owner.dispose()

    assert report.has_changed
    assert report.missing_roles == frozenset()
    with empty.begin() as db:
        db.execute(sa.text(f"DROP OWNED BY {name}"))
        db.execute(sa.text(f"DROP ROLE {name}"))


def test_roles_may_do_what_they_are_for(engine: sa.Engine) -> None:
    """Analysts see views only, readers no secrets, writers no migrations."""
    with engine.begin() as db:
        assert ensure_roles(db) == frozenset()
        allowed = {
            role: {
                right
                for right, (relation, privilege) in RIGHTS.items()
                if db.scalar(
                    sa.text("SELECT has_table_privilege(:role, :relation, :privilege)"),
                    {"role": role, "relation": relation, "privilege": privilege},
                )
            }
            for role in ROLES
        }

    assert allowed == {
        "bank_owner": set(RIGHTS),
        "bank_writer": set(RIGHTS) - {"migrate"},
        "bank_reader": {"see views", "see tables"},
        "analyst": {"see views"},
    }


RIGHTS = {
    "see views": ("analytics.transactions", "SELECT"),
    "see tables": ("bank.transactions", "SELECT"),
    "see secrets": ("bank.credentials", "SELECT"),
    "see secrets of new consents": ("bank.next_consents", "SELECT"),
    "see secrets of old consents": ("bank.consents_to_end", "SELECT"),
    "see where notices go": ("bank.notification_targets", "SELECT"),
    "see raw answers": ("bank.raw_payloads", "SELECT"),
    "sync": ("bank.transactions", "INSERT"),
    "migrate": ("bank.alembic_version", "UPDATE"),
}


@pytest.fixture
def rows(engine: sa.Engine, now: datetime) -> dict[str, dict[str, Any]]:
    with engine.begin() as db:
        return insert_row_everywhere(db, now)


def test_analysts_see_no_cursor_and_no_secret(engine: sa.Engine, rows: dict[str, Any]) -> None:
    views = sa.inspect(engine)
    columns = {
        column["name"]
        for view in views.get_view_names("analytics")
        for column in views.get_columns(view, "analytics")
    }

    assert columns
    assert not [name for name in columns if "cursor" in name or "ciphertext" in name]


def test_transactions_show_what_people_said_of_them(
    engine: sa.Engine, rows: dict[str, dict[str, Any]]
) -> None:
    """The user's category goes before ours; names of account and bank are there."""
    with engine.connect() as db:
        [row] = db.execute(sa.text("SELECT * FROM analytics.transactions")).all()

    assert str(row.transaction_id) == rows["transactions"]["id"]
    assert row.category == rows["transaction_annotations"]["category"]
    assert row.tags == ["one"]
    assert row.account_name == rows["accounts"]["name"]
    assert row.institution_name == rows["connections"]["institution_name"]
    assert row.amount == Decimal("-12.34")


def test_a_transaction_without_annotation_has_our_category(
    engine: sa.Engine, rows: dict[str, dict[str, Any]]
) -> None:
    with engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.transaction_annotations"))
        [row] = db.execute(sa.text("SELECT * FROM analytics.transactions")).all()

    assert row.category == rows["transactions"]["category"]
    assert (row.tags, row.is_hidden, row.note) == ([], False, None)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ("status = 'pending', booking_date = NULL", True),
        ("status = 'vanished'", False),
        ("status = 'scheduled'", False),
        ("status = 'rejected'", False),
        ("removed_at = created_at", False),
    ],
)
def test_only_live_money_is_seen(
    engine: sa.Engine, rows: dict[str, Any], changes: str, seen: bool
) -> None:
    """What never counted as money, or no longer, cannot be summed by accident."""
    with engine.begin() as db:
        db.execute(sa.text(f"UPDATE bank.transactions SET {changes}"))
        count = db.scalar(sa.text("SELECT count(*) FROM analytics.transactions"))

    assert count == (1 if seen else 0)


@pytest.mark.parametrize(
    ("booked", "valued", "made", "expected"),
    [
        ("2026-06-03", "2026-06-02", "2026-06-01", date(2026, 6, 3)),
        (None, "2026-06-02", "2026-06-01", date(2026, 6, 2)),
        (None, None, "2026-06-01", date(2026, 6, 1)),
        (None, None, None, None),
    ],
)
def test_the_date_is_the_best_there_is(
    engine: sa.Engine,
    rows: dict[str, Any],
    booked: str | None,
    valued: str | None,
    made: str | None,
    expected: date | None,
) -> None:
    with engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE bank.transactions SET booking_date = CAST(:booked AS date), "
                "value_date = CAST(:valued AS date), transaction_date = CAST(:made AS date)"
            ),
            {"booked": booked, "valued": valued, "made": made},
        )
        assert db.scalar(sa.text("SELECT date FROM analytics.transactions")) == expected


def test_accounts_show_their_newest_balances(
    engine: sa.Engine, rows: dict[str, dict[str, Any]], now: datetime
) -> None:
    """Per kind; an account without a balance of a kind shows none, never 0."""
    balance = {
        **rows["balances"],
        "kind": "booked",
        "as_of": None,
        "observed_at": now + timedelta(hours=1),
        "amount": Decimal("99.5"),
    }
    del balance["id"]
    with engine.begin() as db:
        db.execute(sa.insert(metadata.tables["bank.balances"]), balance)
        account_id = balance["account_id"]
        rebuild_series(db, [account_id])
        save_choices(db, [account_id], now=now)
        [row] = db.execute(sa.text("SELECT * FROM analytics.accounts")).all()

    assert row.booked_balance == Decimal("99.5")
    assert row.booked_balance_as_of == now + timedelta(hours=1)
    assert row.available_balance is None
    assert row.credit_limit is None
    assert row.currency == "EUR"
