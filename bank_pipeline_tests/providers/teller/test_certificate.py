"""Our certificate: loaded safely, demanded where Teller demands it, and proven by use."""

import base64
import datetime as dt
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from bank_pipeline.errors import AccessRevokedError, ConfigurationError, SetupError
from bank_pipeline.providers.cache import Cache, build_file_cache
from bank_pipeline.providers.teller.certificate import CertificateProof, load_tls
from bank_pipeline.providers.teller.provider import TellerProvider, build_teller
from bank_pipeline_tests.providers.stub import Reply, Stub
from bank_pipeline_tests.providers.teller.builders import (
    QUICK,
    TOKEN,
    Archived,
    account,
    error_body,
    settings,
)

REFUSED = Reply(error_body("forbidden"), 403)


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path
    encrypted_key: Path

    @property
    def paths(self) -> dict[str, Any]:
        return {"teller_cert_path": self.certificate, "teller_key_path": self.key}

    @property
    def base64(self) -> dict[str, Any]:
        names = {"teller_cert_base64": self.certificate, "teller_key_base64": self.key}
        return {name: base64.b64encode(path.read_bytes()).decode() for name, path in names.items()}


def make_pair(folder: Path) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36_500))
        .sign(key, SHA256())
    )
    folder.mkdir()
    pair = Pair(folder / "certificate.pem", folder / "key.pem", folder / "encrypted.pem")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    for path, how in (
        (pair.key, NoEncryption()),
        (pair.encrypted_key, BestAvailableEncryption(b"phrase")),
    ):
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("teller") / "one")


@pytest.fixture(scope="module")
def other_pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("teller") / "two")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return build_file_cache(tmp_path / "cache")


class Tellers:
    """Builds providers and closes them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.built: list[TellerProvider] = []

    def __call__(self, cache: Cache | None = None, **fields: Any) -> TellerProvider:
        chosen = settings(**({"teller_base_url": self.url} | fields))
        self.built.append(build_teller(chosen, cache, retry=QUICK))
        return self.built[-1]


@pytest.fixture
def tellers(stub: Stub) -> Iterator[Tellers]:
    tellers = Tellers(stub.url)
    yield tellers
    for teller in tellers.built:
        teller.close()


@pytest.mark.parametrize("environment", ["development", "production"])
def test_real_banks_need_a_certificate(environment: str, pair: Pair) -> None:
    with pytest.raises(SetupError, match="TELLER_CERT_PATH"):
        load_tls(settings(teller_environment=environment))
    assert load_tls(settings(teller_environment=environment, **pair.paths)).context is not None


def test_the_sandbox_needs_none() -> None:
    tls = load_tls(settings())
    assert (tls.context, tls.fingerprint) == (None, None)


def test_files_and_base64_are_the_same_certificate(pair: Pair, other_pair: Pair) -> None:
    by_path, by_text = load_tls(settings(**pair.paths)), load_tls(settings(**pair.base64))
    assert by_path.fingerprint == by_text.fingerprint
    assert by_path.fingerprint != load_tls(settings(**other_pair.paths)).fingerprint
    for tls in (by_path, by_text):
        assert tls.context is not None
        assert tls.context.verify_mode is ssl.CERT_REQUIRED
        assert tls.context.check_hostname


def test_what_came_in_base64_is_on_disk_only_while_it_is_loaded_and_only_for_us(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def watched(context: ssl.SSLContext, *args: Any, **named: Any) -> None:
        folder = next(tmp_path.iterdir())
        seen.extend(path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir()))
        load(context, *args, **named)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    load_tls(settings(**pair.base64))
    assert seen == [0o700, 0o600, 0o600]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_used_is_said_without_its_content(
    pair: Pair, other_pair: Pair, tmp_path: Path
) -> None:
    text = base64.b64encode(b"hush").decode()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"teller_cert_path": tmp_path / "no.pem", "teller_key_path": pair.key}, "CERT_PATH"),
        ({"teller_cert_path": pair.certificate, "teller_key_path": other_pair.key}, "CERT_PATH"),
        ({"teller_cert_path": pair.certificate, "teller_key_path": pair.encrypted_key}, "KEY_PATH"),
        ({"teller_cert_path": pair.certificate, "teller_key_path": tmp_path}, "KEY_PATH"),
        ({"teller_cert_base64": text, "teller_key_base64": text}, "CERT_BASE64"),
        ({"teller_cert_base64": "hush!", "teller_key_base64": text}, "CERT_BASE64 is not"),
        ({"teller_ca_path": tmp_path / "no.pem"}, "TELLER_CA_PATH"),
        ({"teller_ca_path": pair.key}, "TELLER_CA_PATH"),
    ]
    for fields, word in cases:
        with pytest.raises(SetupError, match=word) as caught:
            load_tls(settings(**fields))
        assert "hush" not in str(caught.value)


def test_a_refused_token_is_the_customers_where_no_certificate_is_presented(
    stub: Stub, tellers: Tellers
) -> None:
    stub.plays(REFUSED)
    with pytest.raises(AccessRevokedError):
        tellers().fetch_accounts(TOKEN, archive=Archived())


def test_a_certificate_that_never_opened_anything_blames_no_customer(
    stub: Stub, tellers: Tellers, pair: Pair, cache: Cache
) -> None:
    teller = tellers(cache, **pair.paths)
    stub.plays(REFUSED)
    for act in (
        lambda: teller.fetch_accounts(TOKEN, archive=Archived()),
        lambda: teller.fetch_status(TOKEN, archive=Archived()),
        lambda: teller.disconnect(TOKEN),
    ):
        with pytest.raises(ConfigurationError, match="CERTIFICATE_UNPROVEN"):
            act()


@pytest.mark.parametrize(
    "accepted",
    [
        Reply([account(1)]),
        Reply(error_body("enrollment.disconnected.x"), 404),
        Reply(error_body("account.closed"), 410),
    ],
)
def test_once_a_token_was_accepted_a_refusal_is_about_the_token(
    stub: Stub, tellers: Tellers, pair: Pair, accepted: Reply
) -> None:
    teller = tellers(**pair.paths)
    stub.plays(accepted, REFUSED)
    try:
        teller.fetch_status(TOKEN, archive=Archived())
    except Exception:  # noqa: BLE001 - whatever it said, it had accepted the token
        assert accepted.status == 410
    with pytest.raises(AccessRevokedError):
        teller.fetch_accounts(TOKEN, archive=Archived())


def test_other_processes_learn_that_a_certificate_is_good_and_no_other_is(
    stub: Stub, tellers: Tellers, pair: Pair, other_pair: Pair, cache: Cache, tmp_path: Path
) -> None:
    stub.plays(REFUSED)
    with pytest.raises(ConfigurationError):
        tellers(cache, **pair.paths).fetch_accounts(TOKEN, archive=Archived())
    stub.plays(Reply([account(1)]))
    tellers(cache, **pair.paths).fetch_accounts(TOKEN, archive=Archived())
    stub.plays(REFUSED)
    same = build_file_cache(tmp_path / "cache")
    with pytest.raises(AccessRevokedError):
        tellers(same, **pair.base64).fetch_accounts(TOKEN, archive=Archived())
    with pytest.raises(ConfigurationError):
        tellers(same, **other_pair.paths).fetch_accounts(TOKEN, archive=Archived())


def test_institutions_prove_nothing(stub: Stub, tellers: Tellers, pair: Pair) -> None:
    teller = tellers(**pair.paths)
    stub.plays(Reply([]), REFUSED)
    teller.fetch_institutions()
    with pytest.raises(ConfigurationError):
        teller.fetch_accounts(TOKEN, archive=Archived())


def test_a_proof_is_written_once(cache: Cache) -> None:
    proof = CertificateProof("f", cache)
    assert not proof.holds()
    for _ in range(2):
        proof.record()
        assert proof.holds()
    assert CertificateProof("f", cache).holds()
    assert not CertificateProof("g", cache).holds()
    assert not CertificateProof("f", None).holds()


def test_health_lets_teller_look_at_the_certificate(
    stub: Stub, tellers: Tellers, pair: Pair
) -> None:
    teller = tellers(**pair.paths)
    stub.plays(Reply([]), Reply(error_body("unauthorized"), 401))
    teller.check_health()
    assert [one.path for one in stub.received] == ["/institutions", "/accounts"]
    assert "authorization" not in stub.received[1].headers
    stub.plays(Reply([]), Reply(error_body("bad_request"), 400))
    with pytest.raises(ConfigurationError, match="bad_request"):
        teller.check_health()
