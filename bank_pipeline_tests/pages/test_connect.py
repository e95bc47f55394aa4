"""People connect, renew and end their banks in a real browser."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.link import expire_links
from bank_pipeline.sync.page_links import make_connect_link, make_renewal_link
from bank_pipeline_tests.pages.front import Front, secret

ONE_CONNECTION = re.compile(r"/connections/[0-9a-f-]{36}$")
CHOICE = re.compile(r"/connections/[0-9a-f-]{36}/accounts$")


def log_in(front: Front, tab: Page) -> None:
    tab.goto("/login")
    tab.get_by_label("Key of your team").fill(front.make_key())
    tab.get_by_role("button", name="Log in").click()
    expect(tab.get_by_role("heading", name="Connections")).to_be_visible()


def choose_bank(tab: Page, name: str, provider: str) -> None:
    tab.goto("/connect")
    tab.get_by_label("Name of your bank").fill(name)
    tab.get_by_role("button", name="Search").click()
    tab.get_by_role("button", name=re.compile(f"{name}.*{provider}", re.DOTALL)).first.click()


def consent_at_enable_banking(tab: Page) -> None:
    choose_bank(tab, "Nordea", "Enable Banking")
    tab.get_by_role("button", name="Approve").first.click()


def consent_at_gocardless(tab: Page) -> None:
    choose_bank(tab, "Revolut", "GoCardless")
    tab.get_by_role("button", name="I agree").click()
    tab.get_by_role("button", name="Log in").first.click()


def consent_at_plaid(tab: Page) -> None:
    tab.goto("/connect")
    tab.get_by_role("button", name="Choose your bank at Plaid").click()
    tab.get_by_role("button", name=re.compile("^Connect ")).first.click()


def consent_at_teller(tab: Page) -> None:
    tab.goto("/connect")
    tab.get_by_role("button", name="Choose your bank at Teller").click()
    tab.get_by_role("button", name="Choose a bank").click()
    tab.locator(".sim-teller form button").first.click()


def connection_on(tab: Page) -> ConnectionId:
    return ConnectionId(tab.url.rstrip("/").split("/connections/")[1].split("/")[0])


def see_it_synced(front: Front, tab: Page) -> None:
    """Sync as Dagster would, and watch the open page, which is not loaded anew."""
    expect(tab.locator("#status")).to_contain_text("pending")
    tab.evaluate("window.sameDocument = true")
    for _ in range(2):  # the first call has Plaid prepare the history
        front.sandbox.advance(timedelta(minutes=2))
        front.sync_what_is_due()
    expect(tab.locator("#status")).to_contain_text("active")
    expect(tab.get_by_role("region", name="Recent syncs")).to_contain_text("synced")
    assert tab.evaluate("window.sameDocument") is True


@pytest.mark.parametrize(
    ("provider", "consent"),
    [
        (Provider.ENABLE_BANKING, consent_at_enable_banking),
        (Provider.GOCARDLESS, consent_at_gocardless),
        (Provider.TELLER, consent_at_teller),
    ],
)
def test_a_bank_is_chosen_connected_its_accounts_chosen_and_seen_to_sync(
    front: Front, tab: Page, provider: Provider, consent: Callable[[Page], None]
) -> None:
    log_in(front, tab)
    consent(tab)

    expect(tab).to_have_url(CHOICE)
    expect(tab.get_by_role("button", name="Read these")).to_be_visible()
    boxes = tab.get_by_role("checkbox")
    shown = boxes.count()
    assert shown > 1, "there is something to choose"
    assert front.sync_what_is_due() == [], "nothing is read before it is chosen"
    left_out = tab.locator("label").first.inner_text().split("\n")[0]
    boxes.first.uncheck()
    tab.get_by_role("button", name="Read these").click()
    expect(tab).to_have_url(ONE_CONNECTION)
    see_it_synced(front, tab)

    assert front.query("SELECT provider, status FROM bank.connections") == [
        (provider.value, "active")
    ]
    read = "SELECT count(DISTINCT account_id) FROM bank.account_coverage"
    assert front.query(read) == [(shown - 1,)], f"{left_out} is not read"


def test_a_company_connects_with_the_login_that_its_bank_keeps_for_companies(
    front: Front, tab: Page
) -> None:
    log_in(front, tab)
    tab.goto("/connect")
    tab.get_by_label("Name of your bank").fill("Nordea")
    tab.get_by_role("button", name="Search").click()
    company = tab.get_by_role("button", name=re.compile("^With a company's login at Nordea"))
    company.first.click()
    tab.get_by_role("button", name="Approve").first.click()

    expect(tab).to_have_url(CHOICE)
    wing = front.sandbox.wings["enable_banking"]
    assert isinstance(wing, EnableBanking)
    with wing.lock:
        assert [one.psu_type for one in wing.sessions] == ["business"]


def test_a_bank_at_plaid_has_its_accounts_chosen_there(front: Front, tab: Page) -> None:
    log_in(front, tab)
    consent_at_plaid(tab)

    expect(tab).to_have_url(ONE_CONNECTION)
    see_it_synced(front, tab)


@pytest.mark.parametrize(
    ("begin", "leave"),
    [
        (lambda tab: choose_bank(tab, "Nordea", "Enable Banking"), "Refuse"),
        (lambda tab: choose_bank(tab, "Revolut", "GoCardless"), "Cancel"),
        (
            lambda tab: (
                tab.goto("/connect"),
                tab.get_by_role("button", name="Choose your bank at Plaid").click(),
            ),
            "Leave without connecting",
        ),
        (
            lambda tab: (
                tab.goto("/connect"),
                tab.get_by_role("button", name="Choose your bank at Teller").click(),
                tab.get_by_role("button", name="Choose a bank").click(),
            ),
            "Leave without connecting",
        ),
    ],
)
def test_whoever_refuses_is_told_that_nothing_was_connected(
    front: Front, tab: Page, begin: Callable[[Page], object], leave: str
) -> None:
    log_in(front, tab)
    begin(tab)
    tab.get_by_role("button", name=leave).click()

    expect(tab.get_by_role("heading", name="Not connected")).to_be_visible()
    tab.get_by_role("link", name="Start again").click()
    expect(tab.get_by_role("heading", name="Connections")).to_be_visible()
    assert front.query("SELECT count(*) FROM bank.connections") == [(0,)]


def test_whoever_walks_away_leaves_nothing_open_at_the_provider(front: Front, tab: Page) -> None:
    log_in(front, tab)
    choose_bank(tab, "Revolut", "GoCardless")
    expect(tab.get_by_role("button", name="I agree")).to_be_visible()
    tab.goto(f"{front.url}/connections")

    front.sandbox.advance(timedelta(days=2))
    assert expire_links(front.services.sync) == 1
    end_consents(front.services.sync)
    assert front.query("SELECT outcome FROM bank.link_sessions") == [("expired",)]
    assert front.query("SELECT count(*) FROM bank.consents_to_end WHERE ended_at IS NULL") == [(0,)]


def test_a_guest_connects_by_a_link_and_sees_nothing_else(front: Front, tab: Page) -> None:
    link = make_connect_link(front.services.sync, front.team_id(), base_url=front.url)
    tab.goto(secret(link))
    expect(tab).to_have_url(f"{front.url}/connect")
    assert "/l/" not in tab.url, "the link's own address is left behind"
    consent_at_enable_banking(tab)
    tab.get_by_role("button", name="Read these").click()
    expect(tab).to_have_url(ONE_CONNECTION)

    answer = tab.goto("/connections")
    assert answer is not None
    assert answer.status == 403


def test_a_link_that_was_begun_in_another_browser_is_not_ended_here(
    front: Front, tab: Page
) -> None:
    log_in(front, tab)
    choose_bank(tab, "Nordea", "Enable Banking")
    expect(tab.get_by_role("button", name="Approve").first).to_be_visible()
    page_at_bank = tab.url
    browser = tab.context.browser
    assert browser is not None
    other = browser.new_context().new_page()
    other.goto(page_at_bank)
    other.get_by_role("button", name="Approve").first.click()

    expect(other.get_by_role("heading", name="Another browser")).to_be_visible()
    other.context.close()
    assert front.query("SELECT count(*) FROM bank.connections") == [(0,)]


@pytest.mark.parametrize("consent", [consent_at_enable_banking, consent_at_gocardless])
def test_a_renewal_by_the_link_in_a_notice_keeps_history_under_changed_account_ids(
    front: Front, tab: Page, consent: Callable[[Page], None]
) -> None:
    log_in(front, tab)
    consent(tab)
    tab.get_by_role("button", name="Read these").click()
    see_it_synced(front, tab)
    connection_id = connection_on(tab)
    before = front.query("SELECT id, external_id FROM bank.accounts ORDER BY id")
    rows = front.query("SELECT id FROM bank.transactions ORDER BY id")

    context = front.services.sync
    link = make_renewal_link(context, front.team_id(), connection_id, base_url=front.url)
    browser = tab.context.browser
    assert browser is not None
    customer = browser.new_context(base_url=front.url).new_page()
    customer.goto(secret(link))
    customer.get_by_role("button", name=re.compile("^Continue to ")).click()
    if consent is consent_at_enable_banking:
        customer.get_by_role("button", name="Approve").first.click()
    else:
        customer.get_by_role("button", name="I agree").click()
        customer.get_by_role("button", name="Log in").first.click()
    expect(customer).to_have_url(ONE_CONNECTION)
    front.sync_what_is_due()

    expect(customer.locator("#status")).to_contain_text("active")
    assert connection_on(customer) == connection_id
    after = front.query("SELECT id, external_id FROM bank.accounts ORDER BY id")
    assert [row[0] for row in after] == [row[0] for row in before]
    assert [row[1] for row in after] != [row[1] for row in before], "the bank gave new ids"
    assert front.query("SELECT id FROM bank.transactions ORDER BY id") == rows
    customer.context.close()


@pytest.mark.parametrize("provider", ["Plaid", "Teller"])
def test_a_login_that_broke_is_repaired_and_goes_on_as_the_same_connection(
    front: Front, tab: Page, provider: str
) -> None:
    log_in(front, tab)
    if provider == "Plaid":
        consent_at_plaid(tab)
    else:
        consent_at_teller(tab)
        tab.get_by_role("button", name="Read these").click()
    expect(tab).to_have_url(ONE_CONNECTION)
    see_it_synced(front, tab)
    connection_id = connection_on(tab)
    accounts = front.query("SELECT id, external_id FROM bank.accounts ORDER BY id")
    broken = "UPDATE bank.connections SET status = 'needs_reauth', next_attempt_at = NULL"
    with front.services.sync.engine.begin() as db:
        db.exec_driver_sql(broken)

    tab.goto("/connections")
    tab.get_by_role("link", name="Reconnect").click()
    tab.get_by_role("button", name=re.compile("^Continue to ")).click()
    if provider == "Plaid":
        tab.get_by_role("button", name=re.compile("^Connect ")).first.click()
    else:
        tab.get_by_role("button", name="Choose a bank").click()
        tab.locator(".sim-teller form button").first.click()
    expect(tab).to_have_url(ONE_CONNECTION)
    assert connection_on(tab) == connection_id
    front.sync_what_is_due()
    expect(tab.locator("#status")).to_contain_text("active")
    assert front.query("SELECT id, external_id FROM bank.accounts ORDER BY id") == accounts


def test_a_sync_by_hand_is_asked_for_once_and_refused_while_it_is_fresh(
    front: Front, tab: Page
) -> None:
    log_in(front, tab)
    consent_at_plaid(tab)
    see_it_synced(front, tab)
    button = tab.get_by_role("button", name="Sync now")
    expect(button).to_be_disabled()
    expect(tab.locator("#why-not")).to_contain_text("moments ago")

    front.sandbox.advance(timedelta(minutes=6))
    button.click()  # becomes possible without a reload
    expect(tab.locator("#status")).to_contain_text("sync requested")
    assert front.sync_what_is_due() == [connection_on(tab)]
    expect(tab.locator("#status")).to_contain_text("active")
    assert front.sync_what_is_due() == []


def test_a_bank_is_disconnected_at_its_provider_and_its_rows_stay(front: Front, tab: Page) -> None:
    log_in(front, tab)
    consent_at_plaid(tab)
    see_it_synced(front, tab)
    rows = front.query("SELECT count(*) FROM bank.transactions")

    tab.get_by_role("link", name="Disconnect").click()
    tab.get_by_role("button", name="Disconnect").click()

    expect(tab.locator("#status")).to_contain_text("disconnected")
    assert front.query("SELECT count(*) FROM bank.credentials") == [(0,)]
    assert front.query("SELECT count(*) FROM bank.transactions") == rows
