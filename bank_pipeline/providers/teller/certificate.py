"""
Our client certificate at Teller: loaded once, and remembered for having worked.

Teller's development and production environments refuse whoever presents none. In its sandbox
a certificate is optional.

Source: https://teller.io/docs/api/authentication
"""

import base64
import binascii
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import SecretStr

from bank_pipeline.config import Settings, TellerEnvironment
from bank_pipeline.errors import SetupError
from bank_pipeline.providers.cache import Cache

PROVEN_TTL_S: Final = 90 * 24 * 3600  # any call that succeeds proves it anew
_ONLY_OURS: Final = 0o600


@dataclass(frozen=True)
class Tls:
    """
    How we introduce ourselves. `context` is None where the system's trust is enough.

    `fingerprint` names the certificate that we present, None when we present none.
    """

    context: ssl.SSLContext | None
    fingerprint: str | None


def load_tls(settings: Settings) -> Tls:
    """
    Load certificate and key from their files, or from base64 by way of files that are deleted.

    Raises:
        SetupError: no certificate where Teller demands one, or none that can be used.
    """
    if settings.teller_cert_path is not None and settings.teller_key_path is not None:
        context = _build_context(settings)
        _load_chain(context, settings.teller_cert_path, settings.teller_key_path)
        return Tls(context, _fingerprint(settings.teller_cert_path))
    if settings.teller_cert_base64 is not None and settings.teller_key_base64 is not None:
        return _load_base64(settings, settings.teller_cert_base64, settings.teller_key_base64)
    environment = settings.teller_environment
    if environment is not TellerEnvironment.SANDBOX:
        raise SetupError(
            f"Teller's {environment} environment needs your client certificate: download it from "
            "the dashboard and set TELLER_CERT_PATH and TELLER_KEY_PATH, or TELLER_CERT_BASE64 "
            "and TELLER_KEY_BASE64; or set TELLER_ENVIRONMENT=sandbox"
        )
    has_own_authority = settings.teller_ca_path is not None
    return Tls(_build_context(settings) if has_own_authority else None, None)


class CertificateProof:
    """
    Remembers that Teller has let this certificate open a connection.

    Teller answers 403 to a revoked token, and the same to a token of another application
    than the certificate's. A certificate that has opened something since it was set belongs
    to the right application: then a 403 is about the token. One that never has says nothing of
    any customer. Where none is presented, none can be the wrong one.

    Shared by processes through the cache; without one it lasts as long as the process.

    Source: https://teller.io/docs/api/errors
    """

    def __init__(self, fingerprint: str | None, cache: Cache | None) -> None:
        self._key = f"teller/certificate/{fingerprint}"
        self._cache = cache
        self._is_proven = fingerprint is None

    def record(self) -> None:
        """Note that Teller accepted a token together with this certificate."""
        if self._is_proven:
            return
        self._is_proven = True
        if self._cache is not None and not self._ask(self._cache, or_else=True):
            self._cache.drop(self._key)
            self._ask(self._cache, or_else=True)

    def holds(self) -> bool:
        """Say whether this certificate is known to be the right one."""
        if not self._is_proven and self._cache is not None:
            self._is_proven = self._ask(self._cache, or_else=False)
        return self._is_proven

    def _ask(self, cache: Cache, *, or_else: bool) -> bool:
        found = cache.get_or_create(self._key, lambda: {"is_proven": or_else}, ttl_s=PROVEN_TTL_S)
        return found.get("is_proven") is True


def _build_context(settings: Settings) -> ssl.SSLContext:
    authority = settings.teller_ca_path
    try:
        return ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        raise SetupError(
            f"TELLER_CA_PATH={authority} cannot be used ({_reason(error)}): set it to a PEM file "
            "with the certificate of the authority, or unset it"
        ) from None


def _load_base64(settings: Settings, certificate: SecretStr, key: SecretStr) -> Tls:
    """Python's ssl reads a certificate from files only."""
    context = _build_context(settings)
    with TemporaryDirectory() as name:  # a folder that only we can enter
        paths = Path(name) / "certificate.pem", Path(name) / "key.pem"
        _write(paths[0], _decode("TELLER_CERT_BASE64", certificate))
        _write(paths[1], _decode("TELLER_KEY_BASE64", key))
        _load_chain(context, *paths, names="TELLER_CERT_BASE64 and TELLER_KEY_BASE64")
        return Tls(context, _fingerprint(paths[0]))


def _load_chain(
    context: ssl.SSLContext,
    certificate: Path,
    key: Path,
    *,
    names: str = "TELLER_CERT_PATH and TELLER_KEY_PATH",
) -> None:
    try:
        # An encrypted key without a pass phrase fails; it must not ask on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SetupError(
            f"{names} cannot be used ({_reason(error)}): they must be the certificate and the "
            "unencrypted private key from Teller's dashboard, in PEM, and belong together"
        ) from None


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OURS), "wb") as file:
        file.write(content)


def _decode(name: str, secret: SecretStr) -> bytes:
    try:
        return base64.b64decode("".join(secret.get_secret_value().split()), validate=True)
    except (binascii.Error, ValueError):
        raise SetupError(f"{name} is not base64: set it to the PEM file in base64") from None


def _fingerprint(certificate: Path) -> str:
    return hashlib.sha256(certificate.read_bytes()).hexdigest()[:32]


def _reason(error: Exception) -> str:
    """Name the fault without the file's content."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "not readable as PEM"
    return type(error).__name__
