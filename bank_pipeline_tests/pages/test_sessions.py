"""Who gets in, what they see, and what no other site can have them do."""

import re
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.forms import FORM_BYTES_MAX
from bank_pipeline.gateway.visits import COOKIE
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.link import complete_link, start_link
from bank_pipeline.sync.page_links import make_connect_link, make_renewal_link
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.pages.front import Front, secret

PAGES = ("", "/sync", "/accounts", "/reconnect", "/disconnect", "/live")


@pytest.fixture
def http(front: Front) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=front.url) as client:
        yield client


def link(front: Front, team: str = "home") -> ConnectionId:
    context = front.services.sync
    started = start_link(context, Provider.PLAID, team_name=team)
    httpx.post(started.url, data={"outcome": "success", "login": "login-1"})
    return complete_link(context, started.session_id).connection_ids[0]


def log_in(front: Front, http: httpx.Client, scope: KeyScope = KeyScope.MANAGE) -> str:
    """Open a session; return the token that its forms carry."""
    answer = http.post("/login", data={"key": front.make_key(scope=scope)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/connections")
    found = re.search(r'name="form_token" value="([^"]+)"', http.get("/connections").text)
    assert found is not None
    return found[1]


def test_without_a_session_every_page_leads_to_the_way_in(front: Front, http: httpx.Client) -> None:
    own = link(front)
    for path in ("/", "/connections", "/connect", *(f"/connections/{own}{one}" for one in PAGES)):
        answer = http.get(path, follow_redirects=True)
        if answer.status_code == 405:  # a form's address
            continue
        assert answer.url.path == "/login", path


@pytest.mark.parametrize("key", ["", "nonsense", f"bpk_{'0' * 32}_{'x' * 43}"])
def test_a_wrong_key_opens_nothing_and_is_not_repeated(http: httpx.Client, key: str) -> None:
    answer = http.post("/login", data={"key": key})
    assert answer.status_code == 401
    assert COOKIE not in answer.cookies
    assert not key or key not in answer.text


def test_a_session_ends_with_its_time_with_its_key_and_by_logging_out(
    front: Front, http: httpx.Client
) -> None:
    token = log_in(front, http)
    kept = http.cookies[COOKIE]
    assert http.get("/connections").status_code == 200

    http.post("/logout", data={"form_token": token})
    assert http.get("/connections").status_code == 303

    http.cookies.set(COOKIE, kept, domain="127.0.0.1")
    with front.services.sync.engine.begin() as db:
        db.exec_driver_sql("UPDATE bank.api_keys SET revoked_at = now()")
    assert http.get("/connections").status_code == 303

    log_in(front, http)
    front.sandbox.advance(timedelta(hours=13))
    assert http.get("/connections").status_code == 303


def test_an_altered_session_is_none(front: Front, http: httpx.Client) -> None:
    log_in(front, http)
    kept = http.cookies[COOKIE]
    for altered in (kept[:-4] + "AAAA", kept.upper(), kept.split(".")[0], "x.y", "."):
        http.cookies.clear()
        http.cookies.set(COOKIE, altered, domain="127.0.0.1")
        assert http.get("/connections").status_code == 303, altered


def test_a_balance_is_shown_in_its_own_currency_and_not_its_accounts(
    front: Front, http: httpx.Client
) -> None:
    own = link(front)
    sync_connection(front.services.sync, SyncRequest(own, SyncReason.MANUAL))
    with front.services.sync.engine.begin() as db:
        db.exec_driver_sql("UPDATE bank.balances SET currency = 'CHF'")
    log_in(front, http)
    shown = http.get(f"/connections/{own}").text
    assert " CHF</td>" in shown
    assert " USD</td>" not in shown


def test_a_form_that_another_site_sends_changes_nothing(front: Front, http: httpx.Client) -> None:
    own = link(front)
    log_in(front, http)
    before = front.query("SELECT status, sync_requested_at FROM bank.connections")
    for path in ("sync", "disconnect", "reconnect", "accounts", f"questions/{uuid4()}"):
        for fields in ({}, {"form_token": ""}, {"form_token": "guessed"}):
            answer = http.post(f"/connections/{own}/{path}", data=fields)
            assert answer.status_code == 403, path
    assert http.post("/connect", data={"provider": "plaid"}).status_code == 403
    assert http.post("/logout", data={}).status_code == 403
    assert front.query("SELECT status, sync_requested_at FROM bank.connections") == before


def test_a_key_for_reading_looks_and_changes_nothing(front: Front, http: httpx.Client) -> None:
    own = link(front)
    token = log_in(front, http, KeyScope.READ)
    assert http.get(f"/connections/{own}").status_code == 200
    assert "Sync now" not in http.get(f"/connections/{own}").text
    for path in ("sync", "disconnect", "reconnect", "accounts"):
        answer = http.post(f"/connections/{own}/{path}", data={"form_token": token})
        assert answer.status_code == 403, path
    assert http.get("/connect").status_code == 403


def test_another_teams_connection_is_as_if_there_were_none(
    front: Front, http: httpx.Client
) -> None:
    foreign = link(front, "other")
    token = log_in(front, http)
    assert str(foreign) not in http.get("/connections").text
    for path in PAGES:
        for method in ("GET", "POST"):
            answers = [
                http.request(method, f"/connections/{one}{path}", data={"form_token": token})
                for one in (foreign, uuid4())
            ]
            assert answers[0].status_code in (404, 405), path
            assert answers[0].content == answers[1].content


def test_a_guest_who_renews_sees_that_connection_and_no_other(
    front: Front, http: httpx.Client
) -> None:
    own = link(front)
    other = link(front)
    context = front.services.sync
    http.get(secret(make_renewal_link(context, front.team_id(), own, base_url=front.url)))

    assert http.get(f"/connections/{own}").status_code == 200
    assert http.get(f"/connections/{own}/reconnect").status_code == 200
    assert http.get(f"/connections/{own}/disconnect").status_code == 403
    for path in PAGES:
        assert http.get(f"/connections/{other}{path}").status_code in (403, 404, 405), path
    assert http.get("/connect").status_code == 403
    assert http.get("/connections").status_code == 403


def test_a_guest_who_connects_does_not_see_what_the_team_has(
    front: Front, http: httpx.Client
) -> None:
    own = link(front)
    link_ = make_connect_link(front.services.sync, front.team_id(), base_url=front.url)
    http.get(secret(link_))
    assert http.get("/connect").status_code == 200
    assert http.get(f"/connections/{own}").status_code == 404


def test_pages_let_nothing_foreign_in_and_tell_nobody_where_they_were(
    front: Front, http: httpx.Client
) -> None:
    own = link(front)
    log_in(front, http)
    for path in ("/login", "/connections", "/connect", f"/connections/{own}"):
        answer = http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        foreign = re.findall(r'<(\w+)[^>]*(?:src|href)="https?://', answer.text)
        assert set(foreign) <= {"img"}, path


def test_what_a_bank_calls_itself_is_text_and_no_markup(front: Front, http: httpx.Client) -> None:
    own = link(front)
    log_in(front, http)
    with front.services.sync.engine.begin() as db:
        name = "<script>alert(1)</script>{{ 7 * 7 }}"
        db.exec_driver_sql("UPDATE bank.connections SET institution_name = %s", (name,))
    for path in ("/connections", f"/connections/{own}"):
        text = http.get(path).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in text


def test_a_form_longer_than_any_of_ours_is_refused(http: httpx.Client) -> None:
    assert http.post("/login", data={"key": "x" * FORM_BYTES_MAX}).status_code == 413


def test_a_page_that_is_not_there_says_so_as_a_page(front: Front, http: httpx.Client) -> None:
    log_in(front, http)
    for path in (f"/connections/{uuid4()}", "/nowhere", "/static/../app.py", "/l/nonsense"):
        answer = http.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"].startswith("text/html")


def test_no_other_site_can_log_its_visitors_in(front: Front, http: httpx.Client) -> None:
    """They would connect their bank to a team of its choice."""
    fields = {"key": front.make_key()}
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        answer = http.post("/login", data=fields, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status, site


def link_to_renew(front: Front, http: httpx.Client) -> ConnectionId:
    """Link a bank, and come by the address that is sent to whoever renews it."""
    own = link(front)
    http.get(
        secret(make_renewal_link(front.services.sync, front.team_id(), own, base_url=front.url))
    )
    return own


def test_whoever_renews_is_told_that_they_choose_their_accounts_anew(
    front: Front, http: httpx.Client
) -> None:
    own = link_to_renew(front, http)

    assert "choose again all that shall be read" in http.get(f"/connections/{own}/reconnect").text


def test_a_link_for_renewing_neither_chooses_accounts_nor_decides(
    front: Front, http: httpx.Client
) -> None:
    """It lies in mailboxes and channels for weeks."""
    own = link_to_renew(front, http)
    text = http.get(f"/connections/{own}/reconnect").text
    found = re.search(r'name="form_token" value="([^"]+)"', text)
    assert found is not None
    fields = {"form_token": found[1], "account": str(uuid4()), "same_as": "new"}
    for path in ("accounts", f"questions/{uuid4()}"):
        assert http.post(f"/connections/{own}/{path}", data=fields).status_code == 403, path
    assert "Choose accounts" not in http.get(f"/connections/{own}").text
    assert http.get("/").headers["location"] == f"/connections/{own}/reconnect"


def test_a_guest_does_not_learn_which_banks_the_team_has(front: Front, http: httpx.Client) -> None:
    own = link(front)
    with front.services.sync.engine.begin() as db:
        db.exec_driver_sql("UPDATE bank.connections SET institution_external_id = 'ins_1'")
    link_ = make_connect_link(front.services.sync, front.team_id(), base_url=front.url)
    http.get(secret(link_))
    found = re.search(r'name="form_token" value="([^"]+)"', http.get("/connect").text)
    assert found is not None
    fields = {"form_token": found[1], "provider": "plaid", "institution": "ins_1"}
    text = http.post("/connect", data=fields).text
    assert "connected already" in text
    assert str(own) not in text
    assert "First Harbor" not in text


def test_following_a_link_again_does_not_lose_the_browser_that_began(
    front: Front, http: httpx.Client
) -> None:
    link_ = secret(make_connect_link(front.services.sync, front.team_id(), base_url=front.url))
    http.get(link_)
    found = re.search(r'name="form_token" value="([^"]+)"', http.get("/connect").text)
    assert found is not None
    text = http.post("/connect", data={"form_token": found[1], "provider": "plaid"}).text
    at_plaid = re.search(r'href="(http[^"]+/link/hosted/[^"]+)"', text)
    assert at_plaid is not None
    http.get(link_)  # clicked once more
    back = httpx.post(at_plaid[1], data={"outcome": "success", "login": "login-1"})
    answer = http.get(back.headers["location"])
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/connections/")


@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_session_that_ends_while_its_customer_is_at_the_bank_loses_no_link(
    front: Front, http: httpx.Client, is_revoked: bool
) -> None:
    """They agreed there: it is kept, and told without a page that needs a session."""
    form_token = log_in(front, http)
    front.sandbox.advance(timedelta(hours=11, minutes=55))
    text = http.post("/connect", data={"form_token": form_token, "provider": "plaid"}).text
    at_plaid = re.search(r'href="(http[^"]+/link/hosted/[^"]+)"', text)
    assert at_plaid is not None
    front.sandbox.advance(timedelta(minutes=10))
    if is_revoked:
        with front.services.sync.engine.begin() as db:
            db.exec_driver_sql("UPDATE bank.api_keys SET revoked_at = now()")

    back = httpx.post(at_plaid[1], data={"outcome": "success", "login": "login-1"})
    answer = http.get(back.headers["location"])

    assert ("Your bank is connected" in answer.text) is not is_revoked
    assert len(front.query("SELECT id FROM bank.connections")) == (0 if is_revoked else 1)
    if not is_revoked:
        log_in(front, http)  # and sees it as whoever linked it, as before
        assert http.get(back.headers["location"]).headers["location"].startswith("/connections/")


def test_a_connection_that_is_ended_meanwhile_is_not_renewed_and_the_page_says_why(
    front: Front, http: httpx.Client
) -> None:
    """Nothing is wrong with the service: whoever runs it has nothing to look for."""
    own = link(front)
    form_token = log_in(front, http)
    assert http.get(f"/connections/{own}/reconnect").status_code == 200
    disconnect(front.services.sync, own)

    answer = http.post(f"/connections/{own}/reconnect", data={"form_token": form_token})

    assert answer.status_code == 409
    assert "This connection was ended. Connect the bank again instead." in answer.text
    assert "in its log" not in answer.text


def test_a_cursor_of_nowhere_and_an_address_of_nothing_are_told_as_pages(
    front: Front, http: httpx.Client
) -> None:
    log_in(front, http)
    for cursor in ("x", "W10", "WzEsICJ4Il0", "bnVsbA"):
        assert http.get("/connections", params={"cursor": cursor}).status_code == 400, cursor
    assert http.get("/connections/nothing").status_code == 404
    assert http.post("/login", content=b"key=%00").status_code == 400


def test_a_picture_that_is_none_says_nothing_to_the_policy_and_breaks_no_page(
    front: Front, http: httpx.Client
) -> None:
    log_in(front, http)
    for bad in ("https://x; script-src-elem 'unsafe-inline'/a", "https://[bad", "https://bücher/a"):
        with front.services.sync.engine.begin() as db:
            db.exec_driver_sql("UPDATE bank.institutions SET logo_url = %s", (bad,))
        answer = http.get("/connect")
        assert answer.status_code == 200, bad
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert "<img" not in answer.text
