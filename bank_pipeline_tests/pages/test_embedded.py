"""Plaid Link within a page of the gateway, where its operator wants it there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.pages.front import Front, open_front
from bank_pipeline_tests.pages.test_connect import (
    ONE_CONNECTION,
    connection_on,
    log_in,
    see_it_synced,
)


@pytest.fixture
def front(
    sandbox: SandboxServer, engine: sa.Engine, vault: Vault, tmp_path: Path
) -> Iterator[Front]:
    more = {
        "plaid_link": "embedded",
        "plaid_redirect_uri": "{gateway}/link/oauth/plaid",
    }
    with open_front(sandbox, engine, vault, tmp_path, **more) as front:
        yield front


def open_link(front: Front, tab: Page) -> None:
    log_in(front, tab)
    tab.goto("/connect")
    tab.get_by_role("button", name="Choose your bank at Plaid").click()
    expect(tab).to_have_url(re.compile("/link/widget/plaid"))
    tab.get_by_role("button", name="Choose a bank").click()


def test_a_bank_is_connected_and_repaired_without_leaving_our_pages(
    front: Front, tab: Page
) -> None:
    open_link(front, tab)
    tab.get_by_role("button", name=re.compile("^Connect .* as ")).first.click()
    expect(tab).to_have_url(ONE_CONNECTION)
    see_it_synced(front, tab)
    connection_id = connection_on(tab)
    item = front.query("SELECT external_id FROM bank.connections")

    with front.services.sync.engine.begin() as db:
        db.exec_driver_sql("UPDATE bank.connections SET status = 'needs_reauth'")
    tab.goto(f"/connections/{connection_id}/reconnect")
    tab.get_by_role("button", name=re.compile("^Continue to ")).click()
    tab.get_by_role("button", name="Choose a bank").click()
    tab.get_by_role("button", name=re.compile("^Connect .* as ")).first.click()
    expect(tab).to_have_url(ONE_CONNECTION)
    front.sync_what_is_due()
    expect(tab.locator("#status")).to_contain_text("active")
    assert front.query("SELECT external_id FROM bank.connections") == item


def test_whoever_leaves_is_told_that_nothing_was_connected(front: Front, tab: Page) -> None:
    open_link(front, tab)
    tab.get_by_role("button", name="Leave without connecting").click()
    expect(tab.get_by_role("heading", name="Not connected")).to_be_visible()
    assert front.query("SELECT count(*) FROM bank.connections") == [(0,)]


def test_a_bank_that_sends_its_customer_to_its_own_site_brings_them_back_to_the_same_link(
    front: Front, tab: Page
) -> None:
    """What Link is given is the address that Plaid was promised, and no other."""
    open_link(front, tab)
    expect(tab.get_by_role("button", name="Leave without connecting")).to_be_visible()
    tab.goto("/link/oauth/plaid?oauth_state_id=1234")
    expect(tab).to_have_url(re.compile("/link/widget/plaid"))
    tab.get_by_role("button", name=re.compile("^Connect .* as ")).first.click()  # opens by itself
    expect(tab).to_have_url(ONE_CONNECTION)

    begun = tab.context.new_page()
    begun.goto("/connect")
    begun.get_by_role("button", name="Choose your bank at Plaid").click()
    expect(begun).to_have_url(re.compile("/link/widget/plaid"))
    begun.goto(f"{begun.url}&received=https://elsewhere.example/link/oauth/plaid?x=1")
    assert 'receivedRedirectUri":' not in begun.content()
