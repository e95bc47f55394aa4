"""A link begins on our page, and only a token that proves itself is kept."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from bank_pipeline.errors import (
    ConfigurationError,
    PayloadError,
    ReauthRequiredError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers.base import LinkRequest
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline_tests.providers.stub import Reply, Stub
from bank_pipeline_tests.providers.teller.builders import TOKEN, account, build_provider, error_body
from bank_pipeline_tests.providers.teller.conftest import BuildTeller

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STATE = SecretStr("state-1")
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
RAW_KEY = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
DER_KEY = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PUBLIC_KEY = base64.b64encode(RAW_KEY).decode()
SIGNED = "state-1.token_hush.usr_1.enr_1.sandbox"


def request(
    *,
    renews: SecretStr | None = None,
    renews_external_id: str | None = None,
    return_url: str | None = "https://books.example/link?session=1",
) -> LinkRequest:
    return LinkRequest(
        customer_reference="team-1",
        state=STATE,
        now=NOW,
        renews=renews,
        renews_external_id=renews_external_id,
        return_url=return_url,
    )


def signed(text: str = SIGNED, *, digest: bool = True) -> str:
    message = hashlib.sha256(text.encode()).digest() if digest else text.encode()
    return base64.b64encode(KEY.sign(message)).decode()


def success(**fields: str) -> dict[str, str]:
    return {
        "access_token": "token_hush",
        "enrollment_id": "enr_1",
        "user_id": "usr_1",
        "institution_name": "Chase",
        "signatures": signed(),
    } | fields


def token_of(teller: TellerProvider, **fields: str) -> SecretStr:
    progress = teller.fetch_link_progress(STATE, returned=success(**fields))
    assert progress.is_finished
    (token,) = progress.exchange_tokens
    return token


def test_a_link_begins_on_our_own_page(teller: TellerProvider, stub: Stub) -> None:
    started = teller.start_link(request(renews=TOKEN, renews_external_id="enr_7"))
    assert started.url == "https://books.example/link?session=1"
    assert started.external_state == STATE
    assert started.expires_at == NOW + timedelta(hours=1)
    assert stub.received == []


def test_without_a_page_nothing_can_begin(teller: TellerProvider) -> None:
    with pytest.raises(SetupError, match="GATEWAY_URL"):
        teller.start_link(request(return_url=None))


def test_the_page_is_told_what_the_widget_needs(teller: TellerProvider) -> None:
    assert teller.capabilities.is_linked_on_our_page
    widget = teller.to_link_widget(STATE, renews_external_id=None)
    assert widget.script_url == "https://cdn.teller.io/connect/connect.js"
    assert widget.settings == {
        "applicationId": "app_1",
        "environment": "sandbox",
        "products": ["balance", "transactions"],
        "selectAccount": "multiple",
        "nonce": "state-1",
    }
    assert "state-1" not in repr(widget)


def test_a_repair_names_its_enrollment(build: BuildTeller) -> None:
    teller = build("http://127.0.0.1:9", teller_connect_url="http://127.0.0.1:9/connect.js")
    widget = teller.to_link_widget(STATE, renews_external_id="enr_7")
    assert widget.settings["enrollmentId"] == "enr_7"
    assert widget.script_url == "http://127.0.0.1:9/connect.js"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, (False, None)),
        ({}, (False, None)),
        ({"access_token": "token_hush"}, (False, None)),
        ({"exit": "1"}, (True, "EXITED")),
        ({"failure": "timeout"}, (True, "FAILED_TIMEOUT")),
        ({"failure": "<script>"}, (True, "FAILED")),
    ],
)
def test_what_the_widget_says_without_a_token(
    teller: TellerProvider, returned: dict[str, str] | None, expected: tuple[bool, str | None]
) -> None:
    progress = teller.fetch_link_progress(STATE, returned=returned)
    assert (progress.is_finished, progress.exit_reason) == expected
    assert progress.exchange_tokens == ()


@pytest.mark.parametrize(
    "signatures",
    [
        signed(),
        f"AAAA,{signed()}",
        f"not base64!, {signed()} ",
        signed().replace("+", "-").replace("/", "_").rstrip("="),
        signed(digest=False),
    ],
)
@pytest.mark.parametrize("key", [PUBLIC_KEY, base64.b64encode(DER_KEY).decode()])
def test_any_signature_of_tellers_over_our_nonce_is_enough(
    build: BuildTeller, key: str, signatures: str
) -> None:
    teller = build("http://127.0.0.1:9", teller_token_signing_key=key)
    assert token_of(teller, signatures=signatures)


@pytest.mark.parametrize(
    "fields",
    [
        {"signatures": ""},
        {"signatures": "AAAA"},
        {"signatures": signed("state-2.token_hush.usr_1.enr_1.sandbox")},
        {"access_token": "token_of_another"},
        {"enrollment_id": "enr_2"},
        {"user_id": "usr_2"},
        {"signatures": signed(SIGNED.replace("sandbox", "production"))},
    ],
)
def test_what_teller_did_not_sign_is_refused(build: BuildTeller, fields: dict[str, str]) -> None:
    teller = build("http://127.0.0.1:9", teller_token_signing_key=PUBLIC_KEY)
    with pytest.raises(ConfigurationError) as caught:
        teller.fetch_link_progress(STATE, returned=success(**fields))
    assert caught.value.code == "SIGNATURE_INVALID"
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("key", ["nonsense!", base64.b64encode(b"short").decode()])
def test_a_signing_key_that_is_none_stops_the_start(key: str) -> None:
    with pytest.raises(SetupError, match="TELLER_TOKEN_SIGNING_KEY"):
        build_provider("http://127.0.0.1:9", teller_token_signing_key=key)


def test_a_token_that_opens_its_accounts_is_kept(teller: TellerProvider, stub: Stub) -> None:
    stub.plays(Reply([account(1), account(2, status="closed")]))
    linked = teller.complete_link(token_of(teller))
    assert (linked.external_id, linked.institution_external_id) == ("enr_1", "chase")
    assert (linked.institution_name, linked.consent_expires_at) == ("Chase", None)
    assert linked.credential.get_secret_value() == "token_hush"
    assert linked.accounts is not None
    assert [one.external_id for one in linked.accounts.accounts] == ["acc_1"]
    assert linked.raw is not None
    assert json.loads(linked.raw.body)[0]["id"] == "acc_1"
    assert b"hush" not in linked.raw.body
    assert "hush" not in repr(linked)


def test_a_token_of_another_enrollment_is_refused(teller: TellerProvider, stub: Stub) -> None:
    stub.plays(Reply([account(1, enrollment_id="enr_of_another")]))
    with pytest.raises(PayloadError) as caught:
        teller.complete_link(token_of(teller))
    assert caught.value.code == "ENROLLMENT_MISMATCH"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(error_body("x"), 502), TransientError),
        (Reply(error_body("enrollment.disconnected"), 404), ReauthRequiredError),
    ],
)
def test_a_bank_that_does_not_answer_costs_no_signed_token(
    build: BuildTeller, stub: Stub, reply: Reply, expected: type[Exception]
) -> None:
    careful = build(stub.url, teller_token_signing_key=PUBLIC_KEY)
    stub.plays(reply)
    linked = careful.complete_link(token_of(careful))
    assert (linked.external_id, linked.institution_name) == ("enr_1", "Chase")
    assert linked.accounts is None
    trusting = build(stub.url)
    with pytest.raises(expected):
        trusting.complete_link(token_of(trusting))


def test_a_list_that_names_no_enrollment_proves_none_that_teller_did_not_sign(
    build: BuildTeller, stub: Stub
) -> None:
    """Else a token of one's own, without accounts, would take over somebody's enrollment."""
    stub.plays(Reply([]))
    trusting = build(stub.url)
    with pytest.raises(PayloadError) as caught:
        trusting.complete_link(token_of(trusting))
    assert caught.value.code == "NO_ENROLLMENT"
    careful = build(stub.url, teller_token_signing_key=PUBLIC_KEY)
    assert careful.complete_link(token_of(careful)).external_id == "enr_1"


@pytest.mark.parametrize("token", ["token_hush", "test_token_hush"])
def test_the_token_of_an_enrollment_made_elsewhere_is_kept_too(
    teller: TellerProvider, stub: Stub, token: str
) -> None:
    stub.plays(Reply([account(1)]))
    linked = teller.complete_link(SecretStr(token))
    assert (linked.external_id, linked.institution_name) == ("enr_1", "Chase")
    assert linked.credential.get_secret_value() == token
    stub.plays(Reply([]))
    with pytest.raises(PayloadError) as caught:
        teller.complete_link(SecretStr(token))
    assert caught.value.code == "NO_ENROLLMENT"


def test_nothing_else_is_taken_for_a_token(teller: TellerProvider) -> None:
    for odd in ("token_hush hush", "{}", "", "hush", '{"access_token": ["hush"]}'):
        with pytest.raises(PayloadError) as caught:
            teller.complete_link(SecretStr(odd))
        assert "hush" not in str(caught.value)
