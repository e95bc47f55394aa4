"""The official Python library, which nobody here wrote, works against the simulator unchanged."""

from typing import Any

import httpx
import pytest

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import REDIRECT

nordigen: Any = pytest.importorskip("nordigen")


@pytest.fixture
def client(gocardless: SandboxServer) -> Any:
    made = nordigen.NordigenClient(
        secret_id="sandbox-secret-id",
        secret_key="sandbox-secret-key",
        base_url=f"{gocardless.url}/gocardless/api/v2",
    )
    made.generate_token()
    return made


def test_it_links_a_bank_and_reads_all_accounts(client: Any) -> None:
    session = client.initialize_session(REDIRECT, "MUERITZ_MRTZDE21XXX", "nordigen-1")
    httpx.get(session.link, params={"auto": "approve", "login": "login-2"})

    requisition = client.requisition.get_requisition_by_id(session.requisition_id)
    accounts = [client.account_api(one) for one in requisition["accounts"]]

    assert requisition["status"] == "LN"
    assert [one.get_metadata()["status"] for one in accounts] == ["READY"] * len(accounts)
    assert all(one.get_balances()["balances"] for one in accounts)
    assert all(one.get_details()["account"]["currency"] for one in accounts)
    rows = accounts[0].get_transactions(date_from="2026-01-01", date_to="2026-03-01")
    assert rows["transactions"]["booked"]


def test_it_lists_and_deletes_without_trailing_slashes(client: Any) -> None:
    everywhere = client.institution.get_institutions()
    german = client.institution.get_institutions(country="DE")
    session = client.initialize_session(REDIRECT, german[0]["id"], "nordigen-2")
    requisition = client.requisition.get_requisition_by_id(session.requisition_id)
    agreement = client.agreement.get_agreement_by_id(requisition["agreement"])

    gone = client.agreement.delete_agreement(agreement["id"])
    deleted = client.requisition.delete_requisition(session.requisition_id)

    assert len(everywhere) > len(german) > 0
    assert gone["summary"] == "End User Agreement deleted"
    assert deleted["summary"] == "Requisition deleted"
    assert session.requisition_id not in {
        one["id"] for one in client.requisition.get_requisitions()["results"]
    }


def test_it_exchanges_a_refresh_token_and_understands_refusals(client: Any) -> None:
    refreshed = client.exchange_token(client.generate_token()["refresh"])

    with pytest.raises(Exception, match="No active account") as refused:
        nordigen.NordigenClient(
            secret_id="x", secret_key="y", base_url=client.base_url
        ).generate_token()

    assert sorted(refreshed) == ["access", "access_expires"]
    assert vars(refused.value)["response"].status_code == 401
