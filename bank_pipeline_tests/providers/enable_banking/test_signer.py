"""One token for all calls, until shortly before its end; a key that cannot be read says so."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from pydantic import SecretStr

from bank_pipeline.errors import SetupError
from bank_pipeline.providers.enable_banking.signer import TTL_S, Signer, load_key
from bank_pipeline_tests.providers.enable_banking.builders import APPLICATION, key

START_S = 1_772_700_000.0


class Clock:
    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


def pem(
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption = NoEncryption(),  # noqa: B008 - it has no state
) -> bytes:
    return key().private_bytes(Encoding.PEM, form, encryption)


def test_a_token_is_what_the_documentation_asks_for() -> None:
    token = Signer(APPLICATION, key(), clock=Clock()).token()

    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "RS256", "kid": APPLICATION}
    claims = jwt.decode(
        token,
        key().public_key(),
        algorithms=["RS256"],
        audience="api.enablebanking.com",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {
        "iss": "enablebanking.com",
        "aud": "api.enablebanking.com",
        "iat": int(START_S) - 30,
        "exp": int(START_S) - 30 + TTL_S,
    }


def test_a_token_is_reused_until_five_minutes_before_its_end() -> None:
    clock = Clock()
    signer = Signer(APPLICATION, key(), clock=clock)
    first = signer.token()

    clock.now_s = START_S - 30 + TTL_S - 301
    assert signer.token() == first
    clock.now_s += 2
    assert signer.token() != first


def test_a_refused_token_is_replaced_once_however_many_saw_it_refused() -> None:
    clock = Clock()
    signer = Signer(APPLICATION, key(), clock=clock)
    refused = signer.token()
    clock.now_s += 1

    with ThreadPoolExecutor(4) as pool:
        tokens = {*pool.map(lambda _: signer.token(refused=refused), range(8))}

    assert len(tokens) == 1
    assert refused not in tokens


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_both_forms_of_a_key_are_read_from_a_file_and_from_base64(
    form: PrivateFormat, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(form))
    wrapped = SecretStr(base64.encodebytes(pem(form)).decode())

    assert load_key(path=path, text_base64=None).private_numbers() == key().private_numbers()
    assert load_key(path=None, text_base64=wrapped).private_numbers() == key().private_numbers()


def test_a_key_pasted_as_it_is_is_read_too() -> None:
    text = SecretStr(pem().decode().replace("\n", "\\n"))

    assert load_key(path=None, text_base64=text).private_numbers() == key().private_numbers()


def test_a_key_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    bad: dict[str, bytes] = {
        "no private key in PEM form": b"-----BEGIN nonsense-----",
        "not an RSA key": elliptic,
        "protected by a password": pem(encryption=BestAvailableEncryption(b"x")),
    }
    for said, content in bad.items():
        path = tmp_path / "key.pem"
        path.write_bytes(content)
        with pytest.raises(SetupError, match=said):
            load_key(path=path, text_base64=None)
    with pytest.raises(SetupError, match="ENABLE_BANKING_KEY_PATH"):
        load_key(path=tmp_path / "missing.pem", text_base64=None)
    with pytest.raises(SetupError, match="is not base64"):
        load_key(path=None, text_base64=SecretStr("{secret}"))
    with pytest.raises(SetupError, match="has no private key"):
        load_key(path=None, text_base64=None)
