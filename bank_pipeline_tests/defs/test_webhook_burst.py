"""A burst of webhooks becomes one sync per connection, and loses no update."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import pytest
from pydantic import SecretStr

from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.sandbox.plaid.items import Item, NewItem
from bank_pipeline.storage.connections import ensure_team, insert_or_renew_connection
from bank_pipeline.storage.credentials import store_credential
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.ticks import Ticks, named_in
from bank_pipeline_tests.gateway.forgeries import PLAID, Sent
from bank_pipeline_tests.gateway.wire import Wire
from bank_pipeline_tests.installation import HISTORY_IS_READY, Installation

CONNECTIONS_COUNT: Final = 300
WEBHOOKS: Final = 1000
CHECKING: Final = "acc-1-1"


def link_items(installation: Installation) -> dict[ConnectionId, Item]:
    """Link one account many times over, without the pages."""
    services, plaid = installation.services.sync, installation.sandbox.plaid
    now = services.clock()
    login = installation.sandbox.world.logins["login-1"]
    wanted = NewItem(
        login_id="login-1",
        institution_id=plaid.institution_id_of(login.bank_id),
        account_ids=[CHECKING],
        products=["transactions"],
        consented_products=["transactions"],
        webhook=None,
        days_requested=1,  # few rows: this is about which syncs there are
        consent=None,
        dynamic=False,
    )
    linked = {}
    with plaid.lock, services.engine.begin() as db:
        team_id = ensure_team(db, "home", now=now)
        for _ in range(CONNECTIONS_COUNT):
            item = plaid.items.create(wanted, now)
            connection_id = insert_or_renew_connection(
                db,
                team_id=team_id,
                provider=Provider.PLAID,
                external_id=item.item_id,
                institution_external_id=item.institution_id,
                institution_name="First Harbor Bank",
                now=now,
            )
            token = SecretStr(item.access_token)
            store_credential(db, connection_id, token, vault=services.vault, now=now)
            linked[connection_id] = item
    return linked


def announce(runs: Runs, items: list[Item]) -> None:
    """Send a webhook for each of these through the real gateway, from many senders at once."""
    installation = runs.installation
    clock = installation.sandbox.clock.now
    sync = replace(installation.services.sync, clock=clock)

    def send(part: list[tuple[int, Item]]) -> set[int | None]:
        with closing(Wire(port)) as wire:
            return {wire.send(_news(number, item)) for number, item in part}

    def _news(number: int, item: Item) -> Sent:
        said = {"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE"}
        body = json.dumps({**said, "item_id": item.item_id, "number": number}).encode()
        signed = installation.sandbox.plaid.keys.sign(body, clock())
        return Sent("news", PLAID, body, (("Plaid-Verification", signed),))

    numbered = [*enumerate(items)]
    with (
        GatewayThread(replace(installation.services, sync=sync)) as gateway,
        ThreadPoolExecutor(8) as pool,
    ):
        port = int(gateway.url.rpartition(":")[2])
        answers = pool.map(send, [numbered[first::8] for first in range(8)])
        assert set().union(*answers) == {200}


def with_row(installation: Installation, amount: int) -> int:
    """Count the connections that hold a row of this amount."""
    query = (
        "SELECT count(DISTINCT connection_id) FROM analytics.transactions WHERE amount = :amount"
    )
    return int(installation.value(query, amount=Decimal(amount)))


def sync_all(ticks: Ticks) -> list[ConnectionId]:
    """
    Tick the sensor and sync what it asks for, until it asks for nothing.

    Without runs around the syncs: Dagster's book-keeping of so many takes most of a minute.
    """
    services = ticks.installation.services.sync
    asked: list[ConnectionId] = []
    with ThreadPoolExecutor(8) as pool:
        while requests := ticks.webhooks():
            ids = [ConnectionId(name) for request in requests for name in named_in(request)]
            asked += ids
            wanted = [SyncRequest(one, SyncReason.WEBHOOK) for one in ids]
            assert len([*pool.map(partial(sync_connection, services), wanted)]) == len(ids)
    return asked


@pytest.mark.large
def test_a_thousand_webhooks_of_three_hundred_connections_are_three_hundred_syncs(
    ticks: Ticks, runs: Runs
) -> None:
    """And what changes while those run is neither lost nor a reason to sync the others again."""
    installation = runs.installation
    items = link_items(installation)
    installation.sandbox.advance(HISTORY_IS_READY)
    runs.instance.add_dynamic_partitions(CONNECTIONS, [*items])
    installation.sandbox.world.add_booked(CHECKING, Decimal(-4321))
    announce(runs, [*items.values(), *items.values(), *items.values(), *[*items.values()][:100]])
    assert installation.value("SELECT count(*) FROM bank.webhook_events") == WEBHOOKS

    [first, *others] = ticks.webhooks()
    assert sorted(name for one in (first, *others) for name in named_in(one)) == sorted(items)
    assert runs.of_request(first).success
    installation.sandbox.advance(timedelta(seconds=10))
    installation.sandbox.world.add_booked(CHECKING, Decimal(-1234))
    late = named_in(first)[:7]
    announce(runs, [items[ConnectionId(one)] for one in late for _ in range(3)])
    asked = sync_all(ticks)

    assert installation.syncs() == CONNECTIONS_COUNT + len(late)
    assert set(asked) == set(items) - set(named_in(first)[7:])
    assert with_row(installation, -4321) == CONNECTIONS_COUNT
    assert with_row(installation, -1234) == CONNECTIONS_COUNT - len(named_in(first)) + len(late)
    waiting = "SELECT count(*) FROM bank.webhook_events WHERE handled_at IS NULL"
    assert installation.value(waiting) == 0
