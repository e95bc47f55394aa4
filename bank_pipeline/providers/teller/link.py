"""
Begin, repair and end an enrollment. Teller Connect is a widget in a page of our own.

There is no link token at Teller: the page hands the widget its settings, and what the widget
hands back comes through the customer's browser. So it is proven before it is kept: by Teller's
signature over our nonce, where its key is known, and by opening the accounts with it.

Nothing here is archived that carries a token.

Source: https://teller.io/docs/guides/connect
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bank_pipeline.config import TellerEnvironment
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ConfigurationError, PayloadError, SetupError
from bank_pipeline.providers.base import LinkProgress, LinkRequest, LinkStart, LinkWidget
from bank_pipeline.providers.teller.errors import to_word

CONNECT_URL: Final = "https://cdn.teller.io/connect/connect.js"
FRAME_ORIGIN: Final = "https://teller.io"  # where the script of cdn.teller.io shows itself from
PRODUCTS: Final = ("balance", "transactions")
LINK_TTL: Final = timedelta(hours=1)
_OPERATION: Final = "connect"
_RAW_KEY_LENGTH: Final = 32
_ACCESS_TOKEN: Final = re.compile(r"(test_)?token_[A-Za-z0-9_-]{1,200}")


class Exchange(BaseModel):
    """
    What the widget handed over, as the token that `complete_link` takes.

    `enrollment_id` is None where only an access token is known. `is_signed`: Teller's
    signature was verified.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr
    enrollment_id: str | None = None
    institution_name: str | None = None
    is_signed: bool = False

    def to_token(self) -> SecretStr:
        """Pack it; the inverse of `read_token`."""
        content = self.model_dump(exclude={"access_token"})
        content["access_token"] = self.access_token.get_secret_value()
        return SecretStr(json.dumps(content))


def start_link(request: LinkRequest) -> LinkStart:
    """
    Send the customer to the page with the widget: `return_url`, which names this link.

    Raises:
        SetupError: no page was named.
    """
    if not request.return_url:
        raise SetupError(
            "Teller Connect is shown by a page of our gateway: set BANK_PIPELINE_GATEWAY_URL and "
            "start the gateway"
        )
    return LinkStart(
        url=request.return_url, external_state=request.state, expires_at=request.now + LINK_TTL
    )


def to_widget(
    nonce: SecretStr,
    *,
    script_url: str,
    application_id: str,
    environment: TellerEnvironment,
    enrollment_id: str | None,
) -> LinkWidget:
    """
    Return what `TellerConnect.setup` takes, beside the callbacks.

    The nonce is the link's own state, which Teller signs. With an `enrollment_id` that
    enrollment is repaired, and its token and account ids stay; without, each is new.

    Source: https://teller.io/docs/guides/connect
    """
    settings: dict[str, Any] = {
        "applicationId": application_id,
        "environment": environment.value,
        "products": list(PRODUCTS),
        "selectAccount": "multiple",
        "nonce": nonce.get_secret_value(),
    }
    if enrollment_id is not None:
        settings["enrollmentId"] = enrollment_id
    origins = (FRAME_ORIGIN,) if script_url == CONNECT_URL else ()
    return LinkWidget(Provider.TELLER, script_url, settings, origins)


def to_progress(
    nonce: SecretStr,
    returned: Mapping[str, str] | None,
    *,
    environment: TellerEnvironment,
    signing_key: Ed25519PublicKey | None,
) -> LinkProgress:
    """
    Read what the widget handed over; without it the customer is still at it.

    `access_token`, `enrollment_id`, `user_id`, `institution_name` and `signatures` (parted by
    commas) are those of `onSuccess`; `failure` holds the code of `onFailure`; `exit` says that
    the widget was closed.

    Raises:
        ConfigurationError: Teller did not sign this, or TELLER_TOKEN_SIGNING_KEY is not the
            application's. The link stays open.
    """
    if returned is None:
        return LinkProgress(is_finished=False)
    token, enrollment_id = returned.get("access_token"), returned.get("enrollment_id")
    if not token or not enrollment_id:
        return _to_end(returned)
    if signing_key is not None:
        user_id = returned.get("user_id", "")
        parts = (nonce.get_secret_value(), token, user_id, enrollment_id, environment.value)
        signatures = returned.get("signatures", "").split(",")
        if not is_signed(".".join(parts).encode(), signatures, signing_key):
            raise ConfigurationError(Provider.TELLER, _OPERATION, code="SIGNATURE_INVALID")
    exchange = Exchange(
        access_token=SecretStr(token),
        enrollment_id=enrollment_id,
        institution_name=returned.get("institution_name") or None,
        is_signed=signing_key is not None,
    )
    packed = exchange.to_token()
    return LinkProgress(is_finished=True, exchange_tokens=(packed,), stated_id=enrollment_id)


def read_token(exchange_token: SecretStr) -> Exchange:
    """
    Unpack what `to_progress` packed; or take an access token, of an enrollment made elsewhere.

    Raises:
        PayloadError: it is something else.
    """
    text = exchange_token.get_secret_value()
    if _ACCESS_TOKEN.fullmatch(text):
        return Exchange(access_token=exchange_token)
    try:
        return Exchange.model_validate_json(text)
    except ValidationError:
        raise PayloadError(Provider.TELLER, _OPERATION, code="EXCHANGE_TOKEN") from None


def load_signing_key(setting: SecretStr | None) -> Ed25519PublicKey | None:
    """
    Read the public key that signs what Teller Connect hands over: raw or DER, in base64.

    Raises:
        SetupError: it is no such key.
    """
    if setting is None:
        return None
    try:
        content = base64.b64decode("".join(setting.get_secret_value().split()), validate=True)
        if len(content) == _RAW_KEY_LENGTH:
            return Ed25519PublicKey.from_public_bytes(content)
        key = load_der_public_key(content)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SetupError(
            "TELLER_TOKEN_SIGNING_KEY is no ED25519 public key in base64: copy it from Teller's "
            "dashboard, or unset it"
        )
    return key


def is_signed(message: bytes, signatures: Sequence[str], key: Ed25519PublicKey) -> bool:
    """
    Say whether any of the signatures, in base64, is the key's over this message.

    Teller signs the message's SHA-256 digest. One over the message itself says no less, and is
    taken too.

    Source: https://teller.io/docs/guides/connect
    """
    meant = (hashlib.sha256(message).digest(), message)
    return any(
        _verifies(key, signature, content)
        for signature in map(_decode, signatures)
        if signature
        for content in meant
    )


def _verifies(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _decode(text: str) -> bytes:
    plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _to_end(returned: Mapping[str, str]) -> LinkProgress:
    if "failure" in returned:
        code = to_word(returned["failure"])
        reason = f"FAILED_{code.upper()}" if code else "FAILED"
        return LinkProgress(is_finished=True, exit_reason=reason)
    if "exit" in returned:
        return LinkProgress(is_finished=True, exit_reason="EXITED")
    return LinkProgress(is_finished=False)
