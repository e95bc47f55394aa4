"""Signs webhooks as Plaid does, with a key of our own, and plays the endpoint that shows it."""

import hashlib
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ConfigurationError, ProviderError

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
BODY = json.dumps(
    {"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "item_id": "item-1"},
    indent=2,
).encode()


def jwk(key_id: str = "key-1", **fields: Any) -> dict[str, Any]:
    public: dict[str, Any] = ECAlgorithm.to_jwk(PRIVATE_KEY.public_key(), as_dict=True)
    described = {"kid": key_id, "alg": "ES256", "use": "sig", "created_at": 1, "expired_at": None}
    return public | described | fields


def signed(
    body: bytes = BODY, *, at: datetime = NOW, key_id: str = "key-1", **claims: Any
) -> dict[str, str]:
    payload = {
        "iat": int(at.timestamp()),
        "request_body_sha256": hashlib.sha256(body).hexdigest(),
    } | claims
    token = jwt.encode(payload, PRIVATE_KEY, algorithm="ES256", headers={"kid": key_id})
    return {"Plaid-Verification": token}


class Keys:
    """Plaid's key endpoint, counted."""

    def __init__(self, **keys: dict[str, Any]) -> None:
        self.keys = keys or {"key-1": jwk()}
        self.asked: list[str] = []
        self.error: ProviderError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, key_id: str) -> Mapping[str, Any]:
        self.asked.append(key_id)
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        if key_id not in self.keys:
            raise ConfigurationError(
                Provider.PLAID,
                "webhook_verification_key/get",
                code="INVALID_WEBHOOK_VERIFICATION_KEY_ID",
            )
        return self.keys[key_id]
