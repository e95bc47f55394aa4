"""Short years as CI lives through them: everything goes wrong, and every promise is kept."""

from dataclasses import replace
from typing import Final

import pytest

from bank_pipeline.simulation.customers import Customer
from bank_pipeline.simulation.findings import Checker
from bank_pipeline.simulation.plan import FULL, NONE, Plan, Trouble, load_plan, to_plan
from bank_pipeline.simulation.report import Report, never_injected
from bank_pipeline.simulation.run import live
from bank_pipeline_tests.simulation.stages import GOCARDLESS, TELLER

DENSE: Final = replace(FULL, rates={kind: rate * 12 for kind, rate in FULL.rates.items()})
"""What usually fills a year, in a month; single calls and webhooks fail as often as ever."""

PLAN: Final = Plan(
    "dense",
    temper=FULL.temper,
    has_odd_banks=True,
    rates={
        **DENSE.rates,
        **{kind: rate for kind, rate in FULL.rates.items() if rate < 0.2},
        Trouble.MACHINE_OFF: 0,
        Trouble.LEFT: 0.3,
    },
)


def test_in_a_short_time_full_of_troubles_every_promise_is_kept(server_url: str) -> None:
    report = live(1, days=14, connections=8, plan=PLAN, server_url=server_url)

    assert report.violations == []
    assert report.kills > 0
    assert len(report.injected) > 25
    assert {checker.value for checker in Checker} <= {*report.looked}


def test_the_same_seed_gives_the_same_year(server_url: str) -> None:
    def lived() -> Report:
        report = live(5, days=6, connections=4, plan=PLAN, server_url=server_url, listens=False)
        return replace(report, seconds=0)

    assert lived() == lived()


def test_a_renewal_is_counted_by_the_ids_that_came_of_it(server_url: str) -> None:
    plan = Plan("renewed", rates={Trouble.RECONNECTED: 365.0})

    def kinds(customer: Customer) -> set[str]:
        report = live(
            1,
            days=6,
            connections=1,
            plan=plan,
            server_url=server_url,
            listens=False,
            people=[customer],
        )
        return {one for one in report.injected if one.startswith("reconnected")}

    assert kinds(GOCARDLESS) == {Trouble.RECONNECTED_WITH_OTHER_IDS}
    assert kinds(TELLER) == {Trouble.RECONNECTED}


def test_a_trouble_that_never_happened_is_told(server_url: str) -> None:
    plan = Plan("one", rates={Trouble.MACHINE_OFF: 1.0, Trouble.WEBHOOK_LOST: 1.0})
    report = live(1, days=3, connections=2, plan=plan, server_url=server_url, listens=False)

    assert never_injected([report], plan) == [Trouble.MACHINE_OFF]


def test_a_plan_is_a_name_or_data() -> None:
    own = to_plan({"based_on": "full", "rates": {"process killed": 9}})

    assert load_plan("none") is NONE
    assert own.rate(Trouble.KILLED) == 9
    assert own.rate(Trouble.CONCURRENT) == FULL.rate(Trouble.CONCURRENT)
    with pytest.raises(ValueError, match="temper"):
        to_plan({"temper": "furious"})
