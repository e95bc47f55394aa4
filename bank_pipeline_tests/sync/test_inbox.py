"""Webhooks that come at once are committed together, and none is acknowledged that is not."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import StorageError
from bank_pipeline.providers.base import ProviderEvent
from bank_pipeline.sync.inbox import Inbox
from bank_pipeline_tests.gateway.forgeries import plaid_body
from bank_pipeline_tests.sync.ground import Ground
from bank_pipeline_tests.waiting import wait_until

MANY = 20
INSERT = "INSERT INTO bank.webhook_events"


def send(ground: Ground, inbox: Inbox, number: int) -> ProviderEvent:
    body = plaid_body(f"item-{number}")
    signed = ground.sandbox.plaid.keys.sign(body, ground.context.clock())
    return inbox.accept(Provider.PLAID, {"plaid-verification": signed}, body)


@contextmanager
def all_at_once(
    ground: Ground, then: Callable[[], None] = lambda: None
) -> Iterator[tuple[list["Future[ProviderEvent]"], list[str]]]:
    """
    Have the first of many wait for the table, and the others for the first; then go on.

    `then` is done while they wait.
    """
    inserts: list[str] = []

    def look(_db: object, _cursor: object, sql: str, *_: object) -> None:
        if INSERT in sql:
            inserts.append(sql)

    inbox = Inbox(ground.context)
    send(ground, inbox, 0)  # the key is known from here on
    sa.event.listen(ground.engine, "before_cursor_execute", look)
    with ThreadPoolExecutor(MANY) as pool:
        with ground.engine.begin() as db:
            db.exec_driver_sql("LOCK TABLE bank.webhook_events IN EXCLUSIVE MODE")
            sent = [pool.submit(send, ground, inbox, 1)]
            wait_until(lambda: len(inserts) == 1, seconds=10)
            sent += [pool.submit(send, ground, inbox, number) for number in range(2, MANY)]
            coming = vars(inbox)
            wait_until(lambda: len(coming["_coming"]) == MANY - 2, seconds=10)
            then()
        yield sent, inserts
    sa.event.remove(ground.engine, "before_cursor_execute", look)


def test_what_comes_at_once_is_committed_together(ground: Ground) -> None:
    with all_at_once(ground) as (sent, inserts):
        assert len({one.result(10).external_id for one in sent}) == MANY - 1

    assert len(inserts) == 2
    assert ground.count("webhook_events") == MANY


def test_what_the_database_refuses_is_acknowledged_to_nobody(ground: Ground) -> None:
    ground.execute(
        """
        CREATE FUNCTION bank.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.connection_external_id <> 'item-0' THEN RAISE 'no room'; END IF;
           RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON bank.webhook_events
        FOR EACH ROW EXECUTE FUNCTION bank.refuse()
        """
    )
    try:
        with all_at_once(ground) as (sent, _):
            errors = [one.exception(10) for one in sent]
    finally:
        ground.execute("DROP FUNCTION bank.refuse CASCADE")

    assert {type(error) for error in errors} == {StorageError}
    assert ground.count("webhook_events") == 1


def test_a_failure_of_ours_is_acknowledged_to_nobody_either(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leads breaks in a way that nobody foresaw: those behind must not think it went."""

    def break_it() -> None:
        # The first is with the database already; the others are led by one of them.
        monkeypatch.setattr("bank_pipeline.sync.inbox.store_plain_events", _broken)

    with all_at_once(ground, break_it) as (sent, _):
        errors = [one.exception(10) for one in sent[1:]]
    monkeypatch.undo()

    assert sorted({type(error).__name__ for error in errors}) == ["RuntimeError", "StorageError"]
    assert [type(error) for error in errors].count(RuntimeError) == 1
    assert ground.count("webhook_events") == 2


def _broken(*_: object, **__: object) -> None:
    raise RuntimeError("unforeseen")
