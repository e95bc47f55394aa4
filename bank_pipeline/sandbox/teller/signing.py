"""
The signatures of the simulated Teller: of webhooks, and of what Teller Connect hands over.

Source: https://teller.io/docs/api/webhooks, https://teller.io/docs/guides/connect
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bank_pipeline.sandbox.teller.enrollments import Enrollment


def sign_webhook(body: bytes, secrets: Iterable[str], now: datetime) -> str:
    """Return the header `Teller-Signature` for these very bytes: one `v1` for each secret."""
    moment = int(now.timestamp())
    message = f"{moment}.".encode() + body
    signatures = [
        hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets
    ]
    return ",".join([f"t={moment}", *(f"v1={signature}" for signature in signatures)])


class TokenSigner:
    """Sign what Teller Connect hands over, so that a server can trust a browser with it."""

    def __init__(self, seed: int) -> None:
        digest = hashlib.sha256(f"teller token signing {seed}".encode()).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(digest)

    @property
    def public_key(self) -> str:
        """The key to verify with: 32 bytes as base64, as the dashboard shows it."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode()

    def sign(self, nonce: str, enrollment: Enrollment, environment: str) -> str:
        """Return the signature, as base64, of the digest of what was handed over."""
        words = (
            nonce,
            enrollment.token,
            enrollment.user_id,
            enrollment.enrollment_id,
            environment,
        )
        digest = hashlib.sha256(".".join(words).encode()).digest()
        return base64.b64encode(self._key.sign(digest)).decode()
