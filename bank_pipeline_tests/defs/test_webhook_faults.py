"""The operator is told once when webhooks are refused in numbers or wait, and when it is over."""

from datetime import timedelta

from bank_pipeline.channels.message import render
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.notices import NoticeKind
from bank_pipeline.domain.webhooks import MANY, Refusal
from bank_pipeline.sync.refusals import RefusalCounter
from bank_pipeline_tests.defs.operators import Operator
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_webhook_sensors import insert_events
from bank_pipeline_tests.defs.ticks import Ticks


def flood(runs: Runs, times: int, refusal: Refusal = Refusal.BAD_SIGNATURE) -> None:
    counter = RefusalCounter(runs.installation.services.sync)
    for _ in range(times):
        counter.note(Provider.PLAID, refusal)


def test_many_refusals_are_one_alert_and_its_end(runs: Runs) -> None:
    operator = Operator(runs)
    flood(runs, MANY - 1)
    operator.tick()
    assert operator.told() == []
    for _ in range(3):
        flood(runs, MANY)
        runs.installation.sandbox.advance(timedelta(minutes=30))
        operator.tick()
        operator.tick()
    assert operator.told() == [("operator_alert", "refused")]

    runs.installation.sandbox.advance(timedelta(hours=2))
    operator.tick()
    operator.tick()

    assert operator.told()[1:] == [("operator_recovered", "refused")]


def test_a_webhook_that_nobody_can_check_is_told_at_once(runs: Runs) -> None:
    operator = Operator(runs)
    flood(runs, 1, Refusal.NOT_SET_UP)

    operator.tick()

    assert operator.told() == [("operator_alert", "refused")]


def test_webhooks_that_wait_too_long_are_told(runs: Runs, ticks: Ticks) -> None:
    [connection_id] = runs.linked()
    operator = Operator(runs)
    insert_events(ticks, connection_id)
    operator.tick()
    assert operator.told() == []

    runs.installation.sandbox.advance(timedelta(minutes=16))
    operator.tick()
    operator.tick()

    assert operator.told() == [("operator_alert", "waiting")]


def test_the_alert_says_where_to_look(runs: Runs) -> None:
    operator = Operator(runs)
    flood(runs, MANY)
    operator.tick()
    payload = runs.installation.value(
        "SELECT payload FROM bank.notifications WHERE kind = 'operator_alert'"
    )

    for cause, command in [("refused", "webhooks refused"), ("waiting", "webhooks lag")]:
        for kind in (NoticeKind.OPERATOR_ALERT, NoticeKind.OPERATOR_RECOVERED):
            message = render(
                kind,
                payload | {"cause": cause, "occurrences": 2},
                told_at=runs.installation.services.sync.clock(),
                renewal=None,
                connection_id=None,
            )
            assert "plaid" in message.subject
            if kind is NoticeKind.OPERATOR_ALERT:
                assert command in message.text
                assert command in message.html
