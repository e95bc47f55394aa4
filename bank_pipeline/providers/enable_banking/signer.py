"""
The token that every call to Enable Banking carries: made here, of the application's own key.

There is no token endpoint and nothing per customer. The real clock is read, whatever time a
simulation has: the token is checked by a machine, not by a bank.

Source: https://enablebanking.com/docs/api/reference/#authentication
"""

import base64
import binascii
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from bank_pipeline.errors import SetupError

ISSUER: Final = "enablebanking.com"
AUDIENCE: Final = "api.enablebanking.com"
TTL_S: Final = 3_600  # a day is the most they accept; an hour is what a leak may last
SKEW_S: Final = 30  # clocks that disagree: a token from the future is refused
RENEW_BEFORE_S: Final = 300  # no call begins with a token that ends while it lasts

_WHAT_TO_DO: Final = (
    "set ENABLE_BANKING_KEY_PATH to the .pem file that belongs to the application, or "
    "ENABLE_BANKING_KEY_BASE64 to that file in base64"
)


class Signer:
    """
    Makes tokens and reuses each until shortly before its end. Safe to share between threads.

    `clock` returns seconds since the epoch.
    """

    def __init__(
        self, application_id: str, key: RSAPrivateKey, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._application_id = application_id
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at_s = 0.0

    def token(self, *, refused: str | None = None) -> str:
        """Return a token that is good now; another one than `refused`, unless that is replaced."""
        with self._lock:
            now_s = self._clock()
            if now_s >= self._renew_at_s or self._token in ("", refused):
                issued_at = int(now_s) - SKEW_S
                self._token = self._sign(issued_at)
                self._renew_at_s = issued_at + TTL_S - RENEW_BEFORE_S
            return self._token

    def _sign(self, issued_at: int) -> str:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": issued_at, "exp": issued_at + TTL_S}
        return jwt.encode(
            claims,
            self._key,
            algorithm="RS256",
            headers={"kid": self._application_id},
        )


def load_key(*, path: Path | None, text_base64: SecretStr | None) -> RSAPrivateKey:
    """
    Read the application's private key: PEM, PKCS#1 or PKCS#8, from a file or in base64.

    Raises:
        SetupError: no key, or none that can be read; the message says what to do.
    """
    if path is not None:
        try:
            return _to_key(path.read_bytes(), f"the file {path.name}")
        except OSError as error:
            raise SetupError(
                f"cannot read ENABLE_BANKING_KEY_PATH ({type(error).__name__}): {_WHAT_TO_DO}"
            ) from None
    if text_base64 is None:
        raise SetupError(f"Enable Banking has no private key: {_WHAT_TO_DO}")
    text = text_base64.get_secret_value()
    if text.lstrip().startswith("-----BEGIN"):  # pasted as it is, line ends perhaps as \n
        return _to_key(text.replace("\\n", "\n").encode(), "ENABLE_BANKING_KEY_BASE64")
    try:
        pem = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SetupError(f"ENABLE_BANKING_KEY_BASE64 is not base64: {_WHAT_TO_DO}") from None
    return _to_key(pem, "ENABLE_BANKING_KEY_BASE64")


def _to_key(pem: bytes, source: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SetupError(
            f"the private key in {source} is protected by a password: store it without one "
            "(openssl rsa -in key.pem -out plain.pem)"
        ) from None
    except Exception:  # noqa: BLE001 - whatever a parser of keys raises, its text may quote the key
        raise SetupError(f"no private key in PEM form in {source}: {_WHAT_TO_DO}") from None
    if not isinstance(key, RSAPrivateKey):
        raise SetupError(f"the private key in {source} is not an RSA key: {_WHAT_TO_DO}")
    return key
