"""
An authority of the simulator's own, with a certificate for its server and one for its client.

Keys come from the seed, so that a client set up once works with every later server of that
seed. They open nothing but simulators.
"""

import hashlib
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CURVE: Final = ec.SECP256R1()
_BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)  # certificates know only real time
_END: Final = datetime(2100, 1, 1, tzinfo=UTC)
_LOOPBACK: Final = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both as PEM."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Certificates:
    """What the two sides of a connection show each other, and the authority behind both."""

    ca: str
    server: Pair
    client: Pair


class _Authority:
    """Issues certificates."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = _key(name)
        self._subject = _named(f"Simulated Teller authority {name}")
        public = self._key.public_key()
        self.certificate = (
            _builder(self._subject, self._subject, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, role: str, purpose: x509.ObjectIdentifier) -> Pair:
        """Issue a certificate to a client or a server on loopback."""
        key = _key(f"{self._name} {role}")
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        names = [x509.IPAddress(_LOOPBACK), x509.DNSName("localhost")]
        certificate = (
            _builder(_named(f"Simulated Teller {role}"), self._subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Pair(_pem(certificate), _key_pem(key))


def issue_certificates(name: str) -> Certificates:
    """Return the certificates of a simulator of this name; others do not accept them."""
    authority = _Authority(name)
    return Certificates(
        ca=_pem(authority.certificate),
        server=authority.issue("server", ExtendedKeyUsageOID.SERVER_AUTH),
        client=authority.issue("client", ExtendedKeyUsageOID.CLIENT_AUTH),
    )


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """
    Return what a server secures its connections with.

    Clients may show no certificate, so that the answer can say that it is missing; a foreign
    one ends the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=certificates.ca)
    with tempfile.TemporaryDirectory() as folder:  # the library reads keys from files alone
        both = Path(folder) / "server.pem"
        both.touch(0o600)
        both.write_text(certificates.server.certificate + certificates.server.key)
        context.load_cert_chain(both)
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    serial = int.from_bytes(hashlib.sha256(subject.public_bytes()).digest()[:16]) | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key(name: str) -> ec.EllipticCurvePrivateKey:
    digest = hashlib.sha256(f"teller certificates {name}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest[:31]) + 1, _CURVE)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
