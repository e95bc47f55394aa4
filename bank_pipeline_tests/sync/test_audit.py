"""Who did what is written down with what they did, in a chain that shows every alteration."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.audit import SYSTEM, Actor, ActorKind, AuditAction, AuditEntry
from bank_pipeline.domain.audit_proof import Problem, Tampering
from bank_pipeline.errors import ProviderError
from bank_pipeline.storage.audit import (
    AuditFilter,
    insert_audit,
    list_audit,
    load_unsealed,
    seal_entries,
)
from bank_pipeline.storage.roles import ensure_roles
from bank_pipeline.sync.audit import seal_audit, verify_audit
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.prune import prune
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.scanning import scan_texts
from bank_pipeline_tests.sync.ground import SYNC, Ground
from bank_pipeline_tests.sync.leaks import Canaries

OPERATOR: Final = Actor(ActorKind.CLI, "root")
AS_SUPERUSER: Final = "SET LOCAL session_replication_role = replica"  # no trigger fires


def entries(ground: Ground, **which: Any) -> list[AuditEntry]:
    with ground.engine.connect() as db:
        return list_audit(db, AuditFilter(**which), limit=10_000)[::-1]


def write(ground: Ground, count: int) -> None:
    for number in range(count):
        with ground.engine.begin() as db:
            now = ground.context.clock()
            insert_audit(db, AuditAction.SYNCED, actor=SYSTEM, now=now, inserted=number)


def tamper(ground: Ground, *statements: str) -> None:
    with ground.engine.begin() as db:
        for statement in (AS_SUPERUSER, *statements):
            db.exec_driver_sql(statement)


def test_a_life_is_told_by_whom_and_in_its_order(ground: Ground) -> None:
    """A sync is one entry, whatever it did, and says whose run it was."""
    acting = ground.context.by(OPERATOR)
    connection_id = ground.link_ready()
    ground.pass_time(timedelta(days=1))
    run_id = "3f1c6dd0-7a3f-4c8e-9a53-0d3c6f4b8a11"
    request = SyncRequest(connection_id, SyncReason.SCHEDULE, dagster_run_id=run_id)
    sync_connection(ground.context, request)
    ground.fail(SYNC, "ITEM_LOGIN_REQUIRED")
    with pytest.raises(ProviderError):
        sync_connection(acting, SyncRequest(connection_id, SyncReason.MANUAL))
    disconnect(acting, connection_id, erase=True)

    told = entries(ground, connection_id=connection_id)

    assert [(one.action.value, one.actor.kind.value) for one in told] == [
        ("linked", "system"),
        ("synced", "system"),
        ("synced", "dagster"),
        ("synced", "cli"),
        ("disconnected", "cli"),
        ("erase_asked", "cli"),
        ("consent_ended", "cli"),
        ("erased", "cli"),
    ]
    assert told[2].actor.id == run_id
    assert [told[n].details["outcome"] for n in (1, 2, 3)] == ["synced", "synced", "failed"]
    assert len({one.details["sync_run_id"] for one in told[1:4]}) == 3
    assert len({one.team_id for one in told}) == 1


def test_a_sync_that_was_killed_is_told_by_the_next_one(ground: Ground) -> None:
    """It had read the credential."""
    connection_id = ground.link_ready()
    ground.execute("UPDATE bank.sync_runs SET ended_at = NULL, outcome = NULL")

    prune(ground.context, retention=timedelta(days=90))

    assert [one.details["outcome"] for one in entries(ground, action=AuditAction.SYNCED)] == [
        "synced",
        "killed",
    ]
    assert entries(ground)[-1].connection_id == connection_id


def test_no_name_no_number_and_no_token_is_in_it(ground: Ground) -> None:
    connection_id = ground.link_ready()
    disconnect(ground.context, connection_id)
    canaries = Canaries()
    for item in ground.sandbox.plaid.items:
        canaries.add("token", item.access_token)
    for [text] in ground.query(
        "SELECT name FROM bank.teams UNION SELECT institution_name FROM bank.connections"
        " UNION SELECT name FROM bank.accounts UNION SELECT holder_name FROM bank.accounts"
        " UNION SELECT external_id FROM bank.accounts"
        " UNION SELECT description FROM bank.transactions"
    ):
        if text and text != "home":
            canaries.add(text, text)

    texts = {str(n): repr(one) for n, one in enumerate(entries(ground))}
    assert texts
    assert scan_texts(texts, canaries) == []


@pytest.mark.parametrize("table", ["audit_log", "audit_seals"])
@pytest.mark.parametrize(
    "statement", ["UPDATE bank.{} SET {} = {}", "DELETE FROM bank.{}", "TRUNCATE bank.{}"]
)
def test_nobody_changes_or_deletes_an_entry(ground: Ground, table: str, statement: str) -> None:
    """Not even the owner by mistake; the pipeline's role may not so much as try."""
    write(ground, 2)
    seal_audit(ground.context)
    column = {"audit_log": "team_id", "audit_seals": "digest"}[table]
    sql = statement.format(table, column, column)

    with pytest.raises(sa.exc.ProgrammingError, match="append-only"):
        ground.execute(sql)
    with ground.engine.begin() as db:
        ensure_roles(db)
    with ground.engine.connect() as db:
        db.exec_driver_sql("SET LOCAL ROLE bank_writer")
        with pytest.raises(sa.exc.ProgrammingError, match="permission"):
            db.exec_driver_sql(sql)


def test_the_chain_grows_and_old_heads_stay_in_it(ground: Ground) -> None:
    assert verify_audit(ground.context).head is None
    write(ground, 3)
    first = verify_audit(ground.context)
    write(ground, 2)
    second = verify_audit(ground.context, expected=first.head)

    assert (first.sealed_count, second.sealed_count) == (3, 5)
    assert (first.is_whole, second.is_whole) == (True, True)
    assert first.head != second.head
    assert verify_audit(ground.context, expected=second.head).is_whole
    assert verify_audit(ground.context, expected="ab" * 32).problems == (
        Problem(Tampering.REPLACED, None, None),
    )


def test_an_entry_that_is_committed_late_is_sealed_then(ground: Ground) -> None:
    """Its number is lower than that of entries which are sealed already."""
    now = ground.context.clock()
    with ground.engine.begin() as slow:
        insert_audit(slow, AuditAction.SYNCED, actor=SYSTEM, now=now, inserted=1)
        write(ground, 2)
        assert seal_audit(ground.context) == 2
    assert seal_audit(ground.context) == 1
    proof = verify_audit(ground.context)

    assert (proof.is_whole, proof.sealed_count) == (True, 3)
    rows = ground.query("SELECT entry_id FROM bank.audit_seals ORDER BY number")
    ids = [row[0] for row in rows]
    assert ids == [*sorted(ids)[1:], min(ids)]


def test_many_writers_and_sealers_make_one_chain(ground: Ground) -> None:
    def work(number: int) -> None:
        write(ground, 10)
        if number % 2:
            seal_audit(ground.context)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))

    proof = verify_audit(ground.context)
    assert (proof.is_whole, proof.sealed_count) == (True, 60)


def test_one_sealer_at_a_time(ground: Ground) -> None:
    """Another one does not wait, and leaves it to the first."""
    write(ground, 1)
    now = ground.context.clock()
    with ground.engine.begin() as first, ground.engine.begin() as second:
        assert seal_entries(first, now=now, looks_back=None) == 1
        assert seal_entries(second, now=now, looks_back=None) is None


def test_how_much_waits_to_be_sealed_can_be_seen(ground: Ground) -> None:
    write(ground, 2)
    with ground.engine.connect() as db:
        assert load_unsealed(db) == (2, ground.context.clock())
    seal_audit(ground.context)
    with ground.engine.connect() as db:
        assert load_unsealed(db) == (0, None)


@pytest.mark.parametrize(
    ("statements", "how"),
    [
        (["UPDATE bank.audit_log SET details = '{}' WHERE id = :third"], Tampering.CHANGED),
        (["UPDATE bank.audit_log SET actor_id = 'x' WHERE id = :third"], Tampering.CHANGED),
        (["DELETE FROM bank.audit_log WHERE id = :third"], Tampering.REMOVED),
        (
            [
                "DELETE FROM bank.audit_log WHERE id = :third",
                "DELETE FROM bank.audit_seals WHERE entry_id = :third",
            ],
            Tampering.REMOVED,
        ),
        (
            [
                "DELETE FROM bank.audit_log WHERE id = :third",
                "DELETE FROM bank.audit_seals WHERE entry_id = :third",
                "UPDATE bank.audit_seals SET number = number - 1 WHERE number > 3",
            ],
            Tampering.REMOVED,
        ),
        (
            [
                "UPDATE bank.audit_seals SET number = -3 WHERE number = 3",
                "UPDATE bank.audit_seals SET number = 3 WHERE number = 4",
                "UPDATE bank.audit_seals SET number = 4 WHERE number = -3",
            ],
            Tampering.REORDERED,
        ),
        (
            [
                "UPDATE bank.audit_seals SET number = -number WHERE number > 3",
                (
                    "INSERT INTO bank.audit_log (id, at, actor_kind, action)"
                    " OVERRIDING SYSTEM VALUE"
                    " SELECT max(id) + 1, max(at), 'system', 'erased' FROM bank.audit_log"
                ),
                (
                    "INSERT INTO bank.audit_seals SELECT 4, max(id), max(at), '', ''"
                    " FROM bank.audit_log"
                ),
                "UPDATE bank.audit_seals SET number = 1 - number WHERE number < 0",
            ],
            Tampering.INSERTED,
        ),
        (
            [
                (
                    "INSERT INTO bank.audit_log (at, actor_kind, action)"
                    " SELECT min(at) - interval '2 hours', 'system', 'erased' FROM bank.audit_log"
                )
            ],
            Tampering.INSERTED,
        ),
    ],
)
def test_whoever_may_write_is_found_out(
    ground: Ground, statements: list[str], how: Tampering
) -> None:
    write(ground, 6)
    seal_audit(ground.context)
    [third] = ground.query("SELECT entry_id FROM bank.audit_seals WHERE number = 3")[0]

    tamper(ground, *(one.replace(":third", str(third)) for one in statements))

    proof = verify_audit(ground.context)
    assert not proof.is_whole
    assert how in {one.how for one in proof.problems}


def test_a_chain_that_was_cut_off_is_missed_by_who_noted_its_head(ground: Ground) -> None:
    write(ground, 4)
    head = verify_audit(ground.context).head
    tamper(
        ground,
        "DELETE FROM bank.audit_log WHERE id IN (SELECT max(id) FROM bank.audit_log)",
        "DELETE FROM bank.audit_seals WHERE number = 4",
    )

    assert verify_audit(ground.context).is_whole
    assert not verify_audit(ground.context, expected=head).is_whole
