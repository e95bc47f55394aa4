"""No line holds a secret, wherever in it somebody put one."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaid.exceptions import ApiException
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.errors import SetupError, TransientError
from bank_pipeline.logs.patterns import REDACTED, is_iban, names_secret, redact_text
from bank_pipeline.logs.redaction import TEXT_MAX, describe, redact, to_exceptions
from bank_pipeline_tests.logs.lines import Lines

CANARY: Final = "Canary7f3a9c"
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = "0123456789"


class Body(BaseModel):
    """What a careless line would hold as a whole."""

    access_token: str
    secret: SecretStr


@dataclass
class Row:
    """Shows everything by its repr."""

    name: str


class Word(StrEnum):
    PLAIN = "plain"


def to_iban(country: str, account: str) -> str:
    """Return the IBAN of an account, with its check digits."""
    turned = "".join(str(int(one, 36)) for one in f"{account}{country}00")
    return f"{country}{98 - int(turned) % 97:02d}{account}"


IBANS: Final = st.builds(
    to_iban,
    st.text(LETTERS, min_size=2, max_size=2),
    st.text(DIGITS + LETTERS, min_size=11, max_size=26),
)
GERMAN: Final = st.builds(to_iban, st.just("DE"), st.text(DIGITS, min_size=18, max_size=18))
TOKEN_ENDS: Final = st.text(LETTERS.lower() + DIGITS, min_size=8, max_size=36)


def in_groups(iban: str, separator: str) -> str:
    return separator.join(iban[at : at + 4] for at in range(0, len(iban), 4))


SHAPED: Final = st.one_of(
    st.builds("bpk_{}".format, TOKEN_ENDS),
    st.builds("access-sandbox-{}".format, TOKEN_ENDS),
    st.builds("access-production-{}".format, TOKEN_ENDS),
    st.builds("public-sandbox-{}".format, TOKEN_ENDS),
    st.builds("token_{}".format, TOKEN_ENDS),
    st.builds("test_token_{}".format, TOKEN_ENDS),
    st.builds("eyJ{0}.{0}.{0}".format, TOKEN_ENDS),
    IBANS,
    GERMAN,
)
"""Secrets that are known by their own look, wherever they stand."""

SAID: Final = st.sampled_from(
    [
        "Bearer {}",
        "authorization: bearer   {}",
        "Basic {}",
        "access_token={}",
        "client_secret: {}",
        "GET https://bank.example/x?code={}",
        "GET /link/return?code={}&state=a",
        "https://bank.example/cb#state={}",
        "postgresql://me:{}@db:5432/bank",
        '{{"access_token": "{}"}}',
        "{{'password': '{}'}}",
        '{{"state": "{}"}}',
        '{{\\"secret\\": \\"{}\\"}}',
        "X-Api-Key: {}",
        "Cookie: session={}",
        "Plaid-Verification: {}",
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n{}",
        "iban={}",
        "account-number = {}",
    ]
).map(lambda shape: shape.format(CANARY))
"""Secrets that are known by what stands before them."""

NAMES: Final = st.sampled_from(
    [
        "token", "access_token", "accessToken", "ACCESS_TOKEN", "secret", "client-secret",
        "authorization", "Authorization", "cookie", "Set-Cookie", "password", "state", "code",
        "iban", "IBAN", "account_number", "accountNumber", "x-api-key", "private_key",
        "Plaid-Verification", "credential", "body", "headers",
    ]
)  # fmt: skip
HIDDEN: Final[list[Callable[[str], Any]]] = [
    SecretStr,
    lambda text: SecretBytes(text.encode()),
    Secret,
    lambda text: Body(access_token=text, secret=SecretStr(text)),
    Row,
    ValueError,
    lambda text: httpx.Request("GET", "https://x", headers={"x": text}),
    lambda text: text.encode(),
    lambda text: memoryview(text.encode()),
    lambda text: lambda: text,
]
"""Objects that hold a text, and must not be shown by their own words."""

PLAIN: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=5),
    st.decimals(),
    st.dates(),
)
SECRETS: Final = st.one_of(
    st.builds(lambda name, value: {name: value}, NAMES, st.just(CANARY)),
    st.builds(lambda name: (name, CANARY), NAMES),
    st.builds(lambda name: [name.encode(), CANARY.encode()], NAMES),
    st.builds(lambda name: {name.encode(): [CANARY]}, NAMES),
    st.sampled_from(HIDDEN).map(lambda hide: hide(CANARY)),
    SAID,
)


def within(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Put a value somewhere into a structure."""
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(lambda one, others: [*others, one], inner, st.lists(PLAIN, max_size=2)),
            st.builds(lambda one, key: {key: one}, inner, st.text(max_size=8)),
            st.builds(lambda one: {"rows": (one,)}, inner),
            st.builds(lambda one: {"a": 1, "z": one}, inner),
        ),
        max_leaves=3,
    )


def write(value: Any) -> str:
    """Write a value in every way in which a line may hold it, for programs and for people."""
    said = ""
    for is_json in (True, False):
        lines = Lines(is_json=is_json)
        lines.log.info("looked at %s", value)
        lines.log.info("looked at %r and %s", value, "x")
        lines.log.info(value)
        lines.log.info("looked", extra={"found": value})
        for name in ("event", "level", "logger", "at", "exception"):
            lines.log.info("looked", extra={name: value})
        lines.log.error("failed", exc_info=raised(ValueError(value)), extra={"found": [value]})
        said += lines.text
    return said


@given(within(SECRETS))
def test_no_structure_shows_what_it_hides(value: Any) -> None:
    said = write(value)

    assert CANARY not in said
    assert said.count("looked at") == 4


@given(SHAPED, st.text(max_size=10), st.text(max_size=10))
def test_no_text_shows_what_looks_like_a_secret(secret: str, before: str, after: str) -> None:
    for text in (secret, f"x {secret} y", f"{before} {secret} {after}", f"({secret})"):
        assert secret not in write(text)
        assert secret not in write({"note": text, text: 1})


@given(GERMAN, st.sampled_from([" ", "-", "\N{NO-BREAK SPACE}", ".", "  "]), st.text(max_size=9))
def test_an_iban_is_found_however_it_is_spelt(iban: str, separator: str, near: str) -> None:
    grouped = in_groups(iban, separator)
    for text in (
        grouped,
        f"of {grouped} that went",
        grouped.lower(),
        f"x{iban}y",
        f"{iban}_{near}",
    ):
        found = redact_text(text)
        assert iban not in found
        assert iban[4:].lower() not in "".join(one for one in found.lower() if one.isalnum())


@given(st.text(DIGITS, min_size=18, max_size=18))
def test_what_only_resembles_an_iban_stays(account: str) -> None:
    iban = to_iban("DE", account)
    wrong = f"DE{(int(iban[2:4]) + 1) % 97:02d}{account}"
    assert is_iban(iban)
    assert not is_iban(wrong)
    assert redact_text(f"reference {wrong}") == f"reference {wrong}"


def test_lines_of_ours_stay_as_they_are() -> None:
    """Redaction that eats ids, codes and times is switched off by whoever needs them."""
    for text in (
        "sync of connection 01a1fec9-d97d-7611-a12e-f9d5f4f08839 failed: transient (ITEM_ERROR)",
        "a consent was not ended at gocardless: UnknownError",
        "plaid transactions/sync: TIMEOUT (request pFgZ5mNZ3cWqDXo)",
        "cache unusable (ConnectionError): going on without it",
        "enable_banking refuses our credentials (CERTIFICATE_REFUSED): paused for 0:05:00",
        "the lock of connection 01a1fec9-d97d-7611-a12e-f9d5f4f08839 was lost while it was held",
        "12 calls not recorded: OperationalError",
        "/api/v1/accounts/{account_id}",
    ):
        assert redact_text(text) == text
    plain = {
        "connection_id": AccountId("01a1fec9-d97d-7611-a12e-f9d5f4f08839"),
        "status_code": 200,
        "error_code": "ITEM_LOGIN_REQUIRED",
        "seconds": 1.5,
        "day": date(2026, 6, 16),
        "at": datetime(2026, 6, 16, tzinfo=UTC),
        "amount": Decimal("-4.50"),
        "provider": Provider.PLAID,
        "word": Word.PLAIN,
        "is_new": True,
        "none": None,
    }
    assert redact(plain) == {
        **plain,
        "day": "2026-06-16",
        "at": "2026-06-16 00:00:00+00:00",
        "amount": "-4.50",
        "provider": "plaid",
    }
    assert not names_secret("status_code")
    assert not names_secret("sync_run_id")


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Raise an error with a secret among its variables, and return it."""
    variable = CANARY
    try:
        if cause is not None:
            raise error from cause
        raise error
    except type(error) as caught:
        assert variable
        return caught


def foreign_errors() -> list[Exception]:
    """Errors of others, whose words and fields quote what was sent and what came."""
    request = httpx.Request(
        "POST", f"https://x/?token={CANARY}", headers={"Authorization": CANARY}, content=CANARY
    )
    answer = httpx.Response(500, headers={"Set-Cookie": CANARY}, text=CANARY, request=request)
    refused = ApiException(status=400, reason=CANARY)
    refused.body, refused.headers = CANARY, {"x": CANARY}
    try:
        Body.model_validate({"access_token": [CANARY], "secret": 3})
    except ValueError as invalid:
        unfit = invalid
    return [
        httpx.HTTPStatusError(f"{CANARY} for {request.url}", request=request, response=answer),
        refused,
        unfit,
        KeyError(CANARY),
        OSError(2, CANARY, CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY)]),
    ]


@pytest.mark.parametrize("error", foreign_errors(), ids=lambda one: type(one).__name__)
def test_an_error_of_others_is_told_by_its_kind_and_place(error: Exception) -> None:
    ours = TransientError(Provider.PLAID, "transactions/sync", code="HTTP_500")
    for told in (raised(error), raised(ours, cause=raised(error))):
        lines = Lines()
        lines.log.error("failed", exc_info=told)
        lines.log.error("failed: %s", told, extra={"error": told})
        assert CANARY not in lines.text
        [line, _] = lines.read()
        assert type(error).__name__ in lines.text
        assert any("test_redaction.py" in frame for frame in line["exception"][0]["frames"])
    assert "TransientError: plaid transactions/sync: HTTP_500" in lines.text


def test_words_of_ours_are_told_without_what_they_should_not_hold() -> None:
    assert describe(SetupError("set X")) == "bank_pipeline.errors.SetupError: set X"
    assert describe(SetupError(f"key bpk_{CANARY}")).endswith(f"key {REDACTED}")
    assert describe(ValueError("x")) == "ValueError"


def test_nothing_that_hangs_on_an_error_is_told() -> None:
    """Neither its notes, nor the variables of where it was raised, nor their notes."""
    lines = Lines()

    def fail() -> None:
        variable = f"access-sandbox-{CANARY}"
        try:
            dict[str, str]()[variable]
        except KeyError as error:
            error.add_note(CANARY)
            raise TransientError(Provider.PLAID, "accounts/get", code="HTTP_500") from error

    try:
        fail()
    except TransientError as error:
        error.add_note(CANARY)
        lines.log.exception("failed")

    assert CANARY not in lines.text
    [line] = lines.read()
    assert [one["error"].partition(":")[0] for one in line["exception"]] == [
        "bank_pipeline.errors.TransientError",
        "KeyError",
    ]
    assert "fail" in str(line["exception"][0]["frames"])


def test_every_cause_is_told_once_even_in_a_circle() -> None:
    one, other = ValueError("a"), KeyError("b")
    one.__cause__, other.__cause__ = other, one

    assert [told["error"] for told in to_exceptions(one)] == ["ValueError", "KeyError"]


def test_what_is_large_is_cut_and_what_is_deep_ends() -> None:
    deep: Any = CANARY
    for _ in range(50):
        deep = {"x": deep}
    circle: list[Any] = []
    circle.append(circle)

    assert CANARY not in json.dumps(redact(deep))
    assert json.dumps(redact(circle)).endswith('"\\u2026"' + "]" * 8)
    assert len(redact("x " * 100_000)) <= TEXT_MAX
    assert len(redact([1] * 10_000)) == 101
    assert redact({number: number for number in range(1_000)})["…"] == 900
    half = "x" * (TEXT_MAX - 30) + to_iban("DE", "1" * 18)
    assert "111111" not in redact(half + "y" * 100)


class Broken(Mapping[str, str]):
    """A structure that cannot even be looked at."""

    def __getitem__(self, key: str) -> str:
        raise RuntimeError(CANARY)

    def __iter__(self) -> Any:
        raise RuntimeError(CANARY)

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "text",
    ["a-" * 8_000, "token" * 3_000, "AB12" * 4_000, "http://" * 2_000, '"' * 8_000, "\\" * 8_000,
     "access_token=" * 1_000, "-----BEGIN A-----" * 600, "AA11 AAAA " * 900, " " * 9_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    """Whoever sends us something must not stop us by what it makes of our log."""
    begun_s = time.perf_counter()
    redact(text)
    assert time.perf_counter() - begun_s < 2.0


def test_paths_are_shown_and_whole_folders_of_ours_are_not() -> None:
    told = to_exceptions(raised(ValueError("x")))[0]["frames"]

    assert not any(frame.startswith("/") for frame in told)
    assert redact(Path("a/b")) == "a/b"
