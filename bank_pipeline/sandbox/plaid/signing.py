"""
The keys that sign webhooks, and the signatures.

Source: https://plaid.com/docs/api/webhooks/webhook-verification/
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from bank_pipeline.sandbox.plaid.errors import plaid_error


@dataclass
class _Key:
    kid: str
    secret: ec.EllipticCurvePrivateKey
    created_at: int
    expired_at: int | None = None


class KeyRing:
    """Hold the signing keys, newest last; old ones stay known after their end."""

    def __init__(self, kid: str, now: datetime) -> None:
        self._keys: list[_Key] = []
        self.rotate(kid, now, expire_old=False)

    def rotate(self, kid: str, now: datetime, *, expire_old: bool = True) -> None:
        """Sign with a new key from now on; the ones before it end, unless told otherwise."""
        if expire_old:
            for key in self._keys:
                key.expired_at = key.expired_at or int(now.timestamp())
        secret = ec.generate_private_key(ec.SECP256R1())
        self._keys.append(_Key(kid, secret, int(now.timestamp())))

    def kids(self) -> Sequence[str]:
        """Return the ids of all keys, the one that signs now last."""
        return [key.kid for key in self._keys]

    def sign(self, body: bytes, now: datetime) -> str:
        """Return the header `Plaid-Verification` for these very bytes."""
        claims = {
            "iat": int(now.timestamp()),
            "request_body_sha256": hashlib.sha256(body).hexdigest(),
        }
        key = self._keys[-1]
        return jwt.encode(claims, key.secret, algorithm="ES256", headers={"kid": key.kid})

    def public_key(self, kid: str) -> dict[str, Any]:
        """Return a key as `/webhook_verification_key/get` shows it."""
        for key in self._keys:
            if key.kid == kid:
                shown = ECAlgorithm.to_jwk(key.secret.public_key(), as_dict=True)
                return {
                    "alg": "ES256",
                    "created_at": key.created_at,
                    "crv": shown["crv"],
                    "expired_at": key.expired_at,
                    "kid": key.kid,
                    "kty": "EC",
                    "use": "sig",
                    "x": shown["x"],
                    "y": shown["y"],
                }
        raise plaid_error("INVALID_WEBHOOK_VERIFICATION_KEY_ID")
