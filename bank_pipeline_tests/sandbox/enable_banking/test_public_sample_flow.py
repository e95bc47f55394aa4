"""The walk that Enable Banking's public samples take passes against the simulator, unchanged."""

import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt

from bank_pipeline_tests.sandbox.enable_banking.caller import Caller


def _headers(setup: Mapping[str, Any]) -> dict[str, str]:
    """Sign as the documentation says, without any help of the simulator's."""
    issued = int(time.time())
    claims = {
        "iss": "enablebanking.com",
        "aud": "api.enablebanking.com",
        "iat": issued,
        "exp": issued + 3600,
    }
    head = {"kid": setup["application_id"]}
    token = jwt.encode(claims, setup["private_key_pem"], algorithm="RS256", headers=head)
    return {"Authorization": f"Bearer {token}"}


def _consent(client: httpx.Client, valid_until: datetime) -> dict[str, Any]:
    """Walk from the application to a session; return what the exchange of the code told."""
    application = client.get("application")
    assert application.status_code == 200
    banks = client.get("aspsps")
    assert banks.status_code == 200
    assert ("Nordea", "FI") in [(one["name"], one["country"]) for one in banks.json()["aspsps"]]
    state = str(uuid.uuid4())
    wanted = {
        "access": {"valid_until": valid_until.isoformat()},
        "aspsp": {"name": "Nordea", "country": "FI"},
        "state": state,
        "redirect_url": application.json()["redirect_urls"][0],
        "psu_type": "personal",
    }
    started = client.post("auth", json=wanted)
    assert started.status_code == 200
    sent_back = client.get(started.json()["url"] + "&auto=approve&login=login-5")
    query = httpx.URL(sent_back.headers["location"]).params
    assert query["state"] == state
    session = client.post("sessions", json={"code": query["code"]})
    assert session.status_code == 200
    told: dict[str, Any] = session.json()
    return told


def _transactions(client: httpx.Client, uid: str, date_from: str) -> list[dict[str, Any]]:
    """Follow the continuation keys until there is none."""
    wanted, rows = {"date_from": date_from}, []
    while True:
        page = client.get(f"accounts/{uid}/transactions", params=wanted)
        assert page.status_code == 200
        rows += page.json()["transactions"]
        if not page.json().get("continuation_key"):
            return rows
        wanted["continuation_key"] = page.json()["continuation_key"]


def test_a_client_walks_from_application_to_the_last_page(caller: Caller) -> None:
    """It knows the base URL, its key and its application, and takes nothing else from us."""
    headers = _headers(caller.switches.get("/application").json())
    base_url = f"{caller.sandbox.url}/enable_banking"
    with httpx.Client(base_url=base_url, headers=headers) as client:
        told = _consent(client, caller.sandbox.clock.now() + timedelta(days=10))
        session = client.get(f"sessions/{told['session_id']}")
        uid = told["accounts"][0]["uid"]
        balances = client.get(f"accounts/{uid}/balances")
        rows = _transactions(client, uid, caller.ago(90))

    assert session.status_code == balances.status_code == 200
    assert uid in session.json()["accounts"]
    assert balances.json()["balances"]
    assert len(rows) > 50
    assert all(row["transaction_amount"]["amount"] for row in rows)
    assert not [name for one in caller.wing.requests for name in one["headers"] if "psu" in name]


def test_the_whole_history_comes_in_pages_of_ten_at_the_mock_bank(caller: Caller) -> None:
    linked = caller.link("Mock ASPSP", "FI", login="login-5")
    pages = caller.pages(linked.uids[0], date_from=caller.ago(90))

    assert len(pages) > 5
    assert {len(page["transactions"]) for page in pages[:-1]} == {10}
    dates = [row["booking_date"] for page in pages for row in page["transactions"]]
    booked = [one for one in dates if one]
    assert booked == sorted(booked, reverse=True)
