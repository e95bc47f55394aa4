"""Bad webhooks without end, from a seed: forged, truncated, replayed, oversized, wrongly aged."""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from bank_pipeline.gateway.webhooks import BODY_BYTES_MAX

SECRET: Final = "signing-canary"
PLAID: Final = "/webhooks/plaid"
TELLER: Final = "/webhooks/teller"
AGES: Final = {PLAID: 300, TELLER: 180}

Sign = Callable[[bytes, datetime], str]


@dataclass(frozen=True)
class Sent:
    """One request. `kind` says what is wrong with it."""

    kind: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    statuses: frozenset[int] = frozenset({401})
    """What may be answered."""


def plaid_body(item_id: str, number: int = 0) -> bytes:
    """Return news of an Item, as Plaid spells them."""
    said = {
        "webhook_type": "TRANSACTIONS",
        "webhook_code": "SYNC_UPDATES_AVAILABLE",
        "item_id": item_id,
        "initial_update_complete": True,
        "historical_update_complete": True,
        "number": number,
    }
    return json.dumps(said, indent=2).encode()


def teller_body(enrollment_id: str, number: int = 0) -> bytes:
    """Return news of an enrollment, as Teller spells them."""
    payload = {"enrollment_id": enrollment_id, "transactions": []}
    said = {"id": f"wh_{enrollment_id}_{number}", "type": "transactions.processed"}
    return json.dumps(said | {"payload": payload, "timestamp": "2026-01-01T00:00:00Z"}).encode()


def teller_sign(body: bytes, at: datetime, secret: str = SECRET) -> str:
    """Return Teller's header for these bytes."""
    moment = str(int(at.timestamp()))
    message = moment.encode() + b"." + body
    return f"t={moment},v1={hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()}"


@dataclass
class Forger:
    """Makes bad webhooks. `plaid_sign` signs as Plaid does: what is signed in truth is spoilt."""

    chance: random.Random
    plaid_sign: Sign
    key_id: str
    _stranger: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def genuine(self, path: str, now: datetime, name: str) -> Sent:
        """Return a webhook that is as it should be."""
        body = plaid_body(name) if path == PLAID else teller_body(name)
        return Sent("genuine", path, body, (self._signed(path, body, now),), frozenset({200}))

    def endless(self, now: Callable[[], datetime]) -> Iterator[Sent]:
        """Yield one after the other, all kinds of both providers in turn at random."""
        kinds = [getattr(self, name) for name in dir(self) if name.startswith("bad_")]
        while True:
            path = self.chance.choice((PLAID, TELLER))
            one: Sent = self.chance.choice(kinds)(path, now())
            yield one

    def bad_signer(self, path: str, now: datetime) -> Sent:
        """Sign with somebody else's key."""
        body = self._body(path)
        if path == TELLER:
            value = teller_sign(body, now, f"guess-{self.chance.random()}")
        else:
            value = self._token(body, now, kid=self.key_id)
        return Sent("signer", path, body, ((_name(path), value),))

    def bad_key(self, path: str, now: datetime) -> Sent:
        """Name a key that nobody knows, or an odd one."""
        body = self._body(path)
        if path == TELLER:
            return replace(self.bad_signer(path, now), kind="key")
        odd = ["", "..", "a b", "x" * 65, 7, None, f"forged-{self.chance.randrange(10**6)}"]
        value = self._token(body, now, kid=self.chance.choice(odd))
        return Sent("key", path, body, ((_name(path), value),), frozenset({401, 429}))

    def bad_algorithm(self, path: str, now: datetime) -> Sent:
        """Use no algorithm, or one with a shared secret."""
        body = self._body(path)
        if path == TELLER:
            value = teller_sign(body, now).replace("v1=", "v0=")
            return Sent("algorithm", path, body, ((_name(path), value),))
        claims = self._claims(body, now)
        headers = {"kid": self.key_id}
        value = self.chance.choice(
            (
                jwt.encode(claims, "", "none", headers=headers),
                jwt.encode(claims, "k" * 64, "HS256", headers=headers),
                jwt.encode(claims, "k" * 64, "HS512", headers=headers),
            )
        )
        return Sent("algorithm", path, body, ((_name(path), value),))

    def bad_body(self, path: str, now: datetime) -> Sent:
        """Change, cut or lengthen what was signed."""
        body = self._body(path)
        cut = self.chance.randrange(len(body))
        other = self.chance.choice((body[:cut], body + b" ", body[:cut] + b"\0" + body[cut:], b""))
        if other == body:
            other = body + b"\n"
        return Sent("body", path, other, (self._signed(path, body, now),))

    def bad_age(self, path: str, now: datetime) -> Sent:
        """Send what was signed too long ago, or is said to be of the future."""
        body, chance = self._body(path), self.chance
        late = timedelta(seconds=AGES[path] + chance.choice((30, 60, 3600, 10**7)))
        early = timedelta(seconds=chance.choice((120, 3600, 10**8)))
        at = chance.choice((now - late, now + early))
        return Sent("age", path, body, (self._signed(path, body, at),))

    def bad_header(self, path: str, now: datetime) -> Sent:
        """Cut, double, leave out or garble the signature."""
        body, chance = self._body(path), self.chance
        name, value = self._signed(path, body, now)
        cut = value[: chance.randrange(len(value) - 2)]
        noise = "".join(chance.choices("abcXYZ019._-=,; \t\xe9\xff{}[]\"'", k=chance.randrange(80)))
        choices: list[tuple[tuple[str, str], ...]] = [
            (),
            ((name, cut),),
            ((name, noise.strip()),),
            ((name, value), (name, value)),
            ((name, value[::-1]),),
            ((name, "a" * 5000),),
            ((f"x-{name}", value),),
        ]
        return Sent("header", path, body, chance.choice(choices))

    def bad_token(self, path: str, _: datetime) -> Sent:
        """Make a token of texts that are no claims, deep, huge or odd."""
        if path == TELLER:
            parts = self.chance.choice(
                ("t=", "t=1" * 900, f"t={'9' * 12},v1=", "t=-1,v1=a", "v1=,t=٣")
            )
            value = parts.encode().decode("latin-1")
            return Sent("token", path, self._body(path), ((_name(path), value),))
        head = json.dumps({"alg": "ES256", "kid": self.key_id})
        odd = ["[" * 1500, "[]", "{}", "null", '{"iat": NaN}', f'{{"iat": {"9" * 900}}}', '{"iat"']
        odd.append('{"iat": 1e999, "request_body_sha256": "\\ud800"}')
        first, second = self.chance.choice(((head, odd), (None, odd)))[0], self.chance.choice(odd)
        texts = (first or self.chance.choice(odd), second)
        parts = ".".join(
            base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in texts
        )
        return Sent("token", path, self._body(path), ((_name(path), f"{parts}.AAAA"),))

    def bad_size(self, path: str, now: datetime) -> Sent:
        """Send more than is read, rightly signed or not; rarely, for it takes its time."""
        if self.chance.random() > 0.05:
            return self.bad_age(path, now)
        body = b" " * (BODY_BYTES_MAX + 1 + self.chance.randrange(1000))
        return Sent("size", path, body, (self._signed(path, body, now),), frozenset({413}))

    def _body(self, path: str) -> bytes:
        number = self.chance.randrange(10**9)
        return plaid_body("forged", number) if path == PLAID else teller_body("forged", number)

    def _signed(self, path: str, body: bytes, at: datetime) -> tuple[str, str]:
        sign = self.plaid_sign if path == PLAID else teller_sign
        return _name(path), sign(body, at)

    def _claims(self, body: bytes, now: datetime) -> dict[str, Any]:
        digest = hashlib.sha256(body).hexdigest()
        return {"iat": int(now.timestamp()), "request_body_sha256": digest}

    def _token(self, body: bytes, now: datetime, *, kid: object) -> str:
        """Sign by hand: a library would refuse odd key ids."""
        head = json.dumps({"alg": "ES256", "typ": "JWT", "kid": kid}).encode()
        claims = json.dumps(self._claims(body, now)).encode()
        parts = [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (head, claims)]
        signature = self.chance.randbytes(64)
        if self.chance.random() < 0.5:
            made = jwt.encode(self._claims(body, now), self._stranger, algorithm="ES256")
            signature = base64.urlsafe_b64decode(made.rsplit(".", 1)[1] + "==")
        tail = base64.urlsafe_b64encode(signature).decode().rstrip("=")
        return ".".join([*parts, tail])


def _name(path: str) -> str:
    return "Plaid-Verification" if path == PLAID else "Teller-Signature"
