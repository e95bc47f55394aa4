"""Claims about requests: certificates, tokens, what is written down, and what is refused."""

import ssl
from pathlib import Path

import httpx
import pytest

from bank_pipeline.sandbox.teller.certificates import Pair, issue_certificates
from bank_pipeline_tests.sandbox.teller.caller import Caller, Linked
from bank_pipeline_tests.sandbox.teller.conftest import Start


def client_context(caller: Caller, pair: Pair | None, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=caller.wing.ca_pem)
    if pair is not None:
        file = folder / "client.pem"
        file.write_text(pair.certificate + pair.key)
        context.load_cert_chain(file)
    return context


def test_without_a_token_it_is_401_and_with_an_unknown_one_403(living: Caller) -> None:
    bare = living.http.get("/teller/accounts")
    bearer = living.http.get("/teller/accounts", headers={"Authorization": "Bearer token_x"})

    assert (bare.status_code, bearer.status_code) == (401, 401)
    assert living.fail(Linked("", "token_unknown"), "/accounts") == (403, "forbidden")


def test_on_the_plain_port_a_certificate_is_wanted_only_when_asked_for(start: Start) -> None:
    caller = start(require_certificate=True)

    answer = caller.send(caller.link(), "/accounts")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Missing certificate")
    assert caller.http.get("/teller/institutions").status_code == 200


def test_the_tls_port_wants_our_certificate(living: Caller, tmp_path: Path) -> None:
    linked = living.link()
    ours = client_context(living, living.wing.certificates.client, tmp_path)
    bare = client_context(living, None, tmp_path)
    foreign = client_context(living, issue_certificates("another").client, tmp_path)
    url, auth = f"{living.wing.tls_url}/accounts", httpx.BasicAuth(linked.token, "")

    welcome = httpx.get(url, auth=auth, verify=ours)
    missing = httpx.get(url, auth=auth, verify=bare)

    assert welcome.json() == living.get(linked, "/accounts")
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, "bad_request")
    with pytest.raises(httpx.TransportError):
        httpx.get(url, auth=auth, verify=foreign)


def test_the_switch_tells_what_a_client_needs_for_tls(living: Caller) -> None:
    told = living.http.get("/_sim/teller/certificate").json()

    assert told == {
        "certificate": living.wing.client_certificate_pem,
        "key": living.wing.client_key_pem,
        "ca": living.wing.ca_pem,
        "tls_url": living.wing.tls_url,
    }


def test_the_version_is_written_down_and_the_token_is_not(caller: Caller) -> None:
    linked = caller.link()
    caller.http.get(
        "/teller/accounts",
        auth=httpx.BasicAuth(linked.token, ""),
        headers={"Teller-Version": "2020-10-12"},
    )

    answer = caller.http.get("/_sim/teller/requests")

    (request,) = answer.json()["requests"]
    assert (request["version"], request["operation"], request["subject"]) == (
        "2020-10-12",
        "accounts",
        linked.enrollment_id,
    )
    assert linked.token not in answer.text


def test_calls_are_counted_by_operation_and_account(caller: Caller) -> None:
    linked = caller.link()
    account_id = caller.account(linked, "Everyday Checking")["id"]
    caller.rows(linked, account_id)
    caller.rows(linked, account_id)

    assert caller.wing.calls["transactions", account_id] == 2
    assert caller.wing.calls["accounts", linked.enrollment_id] == 1


@pytest.mark.parametrize(
    "query",
    [{"count": "many"}, {"count": 0}, {"start_date": "yesterday"}, {"end_date": "2026-13-01"}],
)
def test_values_that_are_none_are_refused(living: Caller, query: dict[str, str]) -> None:
    linked = living.link()
    account_id = living.account(linked, "Everyday Checking")["id"]

    refusal = living.fail(linked, f"/accounts/{account_id}/transactions", **query)

    assert refusal == (422, "unprocessable_entity")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/accounts/acc_of_nobody",
        "/accounts/{id}/transactions/txn_x",
        "/accounts/{card}/details",
    ],
)
def test_what_there_is_not_is_a_404(living: Caller, path: str) -> None:
    linked = living.link()
    own = living.account(linked, "Everyday Checking")["id"]
    card = living.account(linked, "Anchor Rewards Card")["id"]

    assert living.fail(linked, path.format(id=own, card=card)) == (404, "not_found")


def test_a_from_id_that_was_never_shown_is_a_404(living: Caller) -> None:
    linked = living.link()
    account_id = living.account(linked, "Everyday Checking")["id"]

    refusal = living.fail(linked, f"/accounts/{account_id}/transactions", from_id="txn_x")

    assert refusal == (404, "not_found")


def test_another_enrollments_account_is_not_told(living: Caller) -> None:
    mine, other = living.link(), living.link("login-4")
    account_id = living.account(mine, "Everyday Checking")["id"]

    assert living.fail(other, f"/accounts/{account_id}") == (404, "not_found")
