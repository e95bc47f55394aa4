"""Properties of the feed itself, without HTTP: many readings of wild worlds."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.life import WILD
from bank_pipeline.sandbox.plaid.items import Item, NewItem
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.plaid.simulator import Plaid
from bank_pipeline.sandbox.plaid.sync_feed import Row
from bank_pipeline.sandbox.plaid.truth import truth_of
from bank_pipeline.sandbox.serve import USUAL_START
from bank_pipeline.sandbox.wire import number_text
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.sandbox.plaid.caller import READY

PATIENT = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 50)
STEPS = st.lists(st.integers(0, 60 * 60 * 30), min_size=1, max_size=12)


def linked(seed: int, days: int = 20) -> tuple[Plaid, Item]:
    """Link the only login of a wild world."""
    clock = VirtualClock(USUAL_START)
    world = World(seed, clock=clock, logins=1, history_days=days + 10, temper=WILD)
    plaid = Plaid(world, clock, faults=FaultPlan(), options=PlaidOptions(initial_days=7))
    accounts = world.logins["login-1"].account_ids
    wanted = NewItem("login-1", "ins_1", accounts, ["transactions"], [], None, days, None)
    return plaid, plaid.items.create(wanted, clock.now())


def catch_up(plaid: Plaid, item: Item, step: timedelta) -> None:
    plaid.items.catch_up(item, plaid.clock.advance(step))


@PATIENT
@given(seed=SEEDS, counts=st.lists(st.integers(1, 500), min_size=1, max_size=8))
def test_any_page_sizes_concatenate_to_the_same_delta(seed: int, counts: list[int]) -> None:
    plaid, item = linked(seed)
    catch_up(plaid, item, READY)
    start = item.feed.head
    catch_up(plaid, item, timedelta(days=4))
    for begin in (0, start):
        delta = item.feed.delta(begin, item.feed.head)
        pages = [delta.page(0, counts[0])]
        while pages[-1].has_more:
            count = counts[len(pages) % len(counts)]
            pages.append(delta.page(pages[-1].next_offset, count))

        whole = delta.page(0, len(delta.changes) + 1)
        assert [row for page in pages for row in page.added] == whole.added
        assert [row for page in pages for row in page.modified] == whole.modified
        assert [one for page in pages for one in page.removed] == whole.removed


@PATIENT
@given(seed=SEEDS, steps=STEPS)
def test_the_log_does_not_depend_on_when_it_was_caught_up(seed: int, steps: list[int]) -> None:
    often_plaid, often = linked(seed)
    for step in steps:
        catch_up(often_plaid, often, timedelta(seconds=step))
    once_plaid, once = linked(seed)
    catch_up(once_plaid, once, timedelta(seconds=sum(steps)))

    assert list(often.feed.changes(0)) == list(once.feed.changes(0))


@PATIENT
@given(seed=SEEDS, steps=STEPS)
def test_the_fold_of_all_deltas_is_the_truth_at_any_time(seed: int, steps: list[int]) -> None:
    plaid, item = linked(seed)
    rows: dict[str, Row] = {}
    read = 0
    for step in steps:
        catch_up(plaid, item, timedelta(seconds=step))
        delta = item.feed.delta(read, item.feed.head)
        page, read = delta.page(0, len(delta.changes) + 1), item.feed.head
        for removed in page.removed:
            assert rows.pop(removed.transaction_id, None) is not None, "only what is held goes"
        for added in page.added:
            assert added.transaction_id not in rows, "what is held is not added again"
        rows |= {row.transaction_id: row for row in [*page.added, *page.modified]}

        assert {one: _facts(row) for one, row in rows.items()} == _true_facts(plaid, item)


def _facts(row: Row) -> tuple[Any, ...]:
    return row.account_id, number_text(-row.entry.amount), row.entry.description


def _true_facts(plaid: Plaid, item: Item) -> Mapping[str, tuple[Any, ...]]:
    return {
        transaction_id: (account_id, row["amount"], row["name"])
        for account_id, account in truth_of(plaid, item)["accounts"].items()
        for transaction_id, row in account["transactions"].items()
    }
