"""
The tokens that applications sign for themselves: RS256, at most a day long, no token endpoint.

Source: https://enablebanking.com/docs/api/reference/#jwt-format-and-signature
"""

import base64
import binascii
import json
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from bank_pipeline.sandbox.enable_banking.errors import EnableBankingError, api_error
from bank_pipeline.sandbox.enable_banking.options import REAL_CLOCK

_BEARER: Final = "Bearer "
_ISSUER: Final = "enablebanking.com"
_AUDIENCES: Final = ("api.enablebanking.com", "api.tilisy.com")  # the second is deprecated
_TTL_MAX_S: Final = 86_400
_LEEWAY_S: Final = 30
_KEY_BITS: Final = 2048
_PARTS: Final = 3


@cache
def own_key_pem() -> str:
    """Return this process's private key, PKCS#8: made once, because making one takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@cache
def public_pem_of(private_key_pem: str) -> str:
    """Return the public half of a private key."""
    return (
        _private_key(private_key_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def signed_token(
    private_key_pem: str, application_id: str, *, now_s: float, ttl_s: int = 3600, **claims: object
) -> str:
    """Return a token as an application signs it, for tests and demonstrations."""
    usual = {"iss": _ISSUER, "aud": _AUDIENCES[0], "iat": int(now_s), "exp": int(now_s) + ttl_s}
    headers = {"kid": application_id}
    key = _private_key(private_key_pem)
    return jwt.encode({**usual, **claims}, key, algorithm="RS256", headers=headers)


@cache
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """Read a key once: proving that its numbers are primes takes a tenth of a second."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey), "applications sign with RSA"
    return key


class Gate:
    """Let tokens in. The public keys are those of the applications, by id."""

    def __init__(self, public_keys: Mapping[str, str], *, clock: str, lenient: bool) -> None:
        self.public_keys = dict(public_keys)
        self.clock = clock
        self.lenient = lenient

    def application_id(self, header: str | None, now: datetime) -> str:
        """
        Return the application that signed the `Authorization` header.

        Raises:
            EnableBankingError: 401 without a good token, 403 for one of an unknown application.
        """
        if not header:
            raise api_error("AUTHORIZATION_NOT_PROVIDED")
        if not header.startswith(_BEARER):
            raise api_error("UNAUTHORIZED_ACCESS")
        token = header.removeprefix(_BEARER).strip()
        application_id = self._kid(token)
        if application_id not in self.public_keys:
            raise api_error("APPLICATION_DOES_NOT_EXIST")
        claims = self._claims(token, self.public_keys[application_id])
        now_s = time.time() if self.clock == REAL_CLOCK else now.timestamp()
        _check_times(claims, now_s)
        return application_id

    def _kid(self, token: str) -> str:
        parts = token.split(".")
        if len(parts) != _PARTS:
            raise api_error("UNAUTHORIZED_ACCESS")
        head = self._read(parts[0])
        if head.get("alg") != "RS256" or not isinstance(head.get("kid"), str):
            raise api_error("UNAUTHORIZED_ACCESS")
        return str(head["kid"])

    def _claims(self, token: str, public_key_pem: str) -> dict[str, Any]:
        if self.lenient:
            return self._lenient_claims(token, public_key_pem)
        try:
            return jwt.decode(
                token,
                public_key_pem,
                algorithms=["RS256"],
                audience=list(_AUDIENCES),
                issuer=_ISSUER,
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "require": ["iss", "aud", "iat", "exp"],
                },
            )
        except jwt.InvalidTokenError as error:
            raise _refused() from error

    def _lenient_claims(self, token: str, public_key_pem: str) -> dict[str, Any]:
        """Check what was written with the standard base64 alphabet, as one sample client does."""
        signed, _, signature = token.rpartition(".")
        algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
        key = algorithm.prepare_key(public_key_pem)
        if not algorithm.verify(signed.encode(), key, _decoded(signature)):  # type: ignore[arg-type]  # a public key
            raise _refused()
        claims = self._read(signed.partition(".")[2])
        if claims.get("iss") != _ISSUER or claims.get("aud") not in _AUDIENCES:
            raise _refused()
        return claims

    def _read(self, part: str) -> dict[str, Any]:
        strange = set("+/=") & set(part)
        if strange and not self.lenient:
            raise _refused()
        try:
            read = json.loads(_decoded(part))
        except ValueError as error:
            raise _refused() from error
        if not isinstance(read, dict):
            raise _refused()
        return read


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        raise _refused()
    is_too_long = expires - issued > _TTL_MAX_S
    if is_too_long or expires <= now_s - _LEEWAY_S or issued > now_s + _LEEWAY_S:
        raise _refused()


def _decoded(part: str) -> bytes:
    plain = part.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error as error:
        raise _refused() from error


def _refused() -> EnableBankingError:
    return api_error("UNAUTHORIZED_ACCESS")
