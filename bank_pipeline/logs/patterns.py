"""What a secret looks like when it stands in a text. Pure."""

import re
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"

SECRET_WORDS: Final = (
    "token", "secret", "password", "passwd", "passphrase", "authorization", "cookie",
    "credential", "apikey", "privatekey", "signature", "verification", "iban", "bban",
    "accountnumber", "ciphertext", "jwt", "session",
)  # fmt: skip
"""A name that holds one of these, however it is written, names a secret."""

SECRET_NAMES: Final = frozenset(
    {"code", "state", "pin", "otp", "ssn", "pan", "key", "auth", "nonce", "body", "headers", "raw"}
)
"""Names that are a secret's only as a whole: within others they are words of ours, too."""

# Repetitions are bounded: what a line holds may be anybody's, and must not take seconds to read.
_SPELT: Final = "|".join(re.sub(r"(?<=api|ate|unt)(?=key|num)", "[_-]?", w) for w in SECRET_WORDS)
_NAME: Final = rf"[\w.-]{{0,40}}(?:{_SPELT})[\w.-]{{0,40}}"
_QUOTE: Final = r"\\{0,4}[\"']"
_VALUE: Final = (
    r"(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|\\{1,4}\"[^\"]*\"?|[^\s,;&\"'<>(){}\[\]]+)"
)
_QUERY_NAMES: Final = r"(?:code|state|pin|otp|ssn|pan)"

_SHAPES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # A key or a certificate, whole or cut off.
    (re.compile(r"-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|\Z)", re.DOTALL),
     REDACTED),
    # Addresses: who logs in, and everything behind the path.
    (re.compile(r"(?<=://)[^\s/@'\"]*@"), f"{REDACTED}@"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s?#'\"<>]*)[?#][^\s'\"<>]*", re.IGNORECASE),
     rf"\1?{REDACTED}"),
    # Headers.
    (re.compile(r"\b(bearer|basic)(?:\s|[:=]|%20|\\[nrt])+[^\s,;'\"]+", re.IGNORECASE),
     rf"\1 {REDACTED}"),
    # "name": value and name=value. Names that are words of ours, too, only as in JSON and queries.
    (re.compile(rf"((?:{_QUOTE})?\b{_NAME}(?:{_QUOTE})?\s{{0,4}}(?:=>|[:=])\s{{0,4}}){_VALUE}",
                re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_QUOTE}{_QUERY_NAMES}{_QUOTE}\s{{0,4}}:\s{{0,4}}){_VALUE}", re.IGNORECASE),
     rf"\1{REDACTED}"),
    (re.compile(rf"((?:^|[?&\s]){_QUERY_NAMES}=){_VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    # Tokens by their own shape: ours, Plaid's, Teller's, and signed ones.
    (re.compile(r"bpk_[\w-]+"), REDACTED),
    (re.compile(r"(?:access|public|link|processor|user|asset)-"
                r"(?:sandbox|development|production)-[\w-]+", re.IGNORECASE), REDACTED),
    (re.compile(r"(?:test_)?token_[a-z0-9]{6,}", re.IGNORECASE), REDACTED),
    (re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]*){0,4}"), REDACTED),
)  # fmt: skip

# Most texts hold nothing that any of these shapes begins with: one look instead of a dozen.
_SUSPICIOUS: Final = re.compile(
    rf"-----|://|bearer|basic|[:=]|bpk_|eyJ|{_SPELT}|-(?:sandbox|development|production)-",
    re.IGNORECASE,
)
_IBAN_BEGINS: Final = re.compile(r"[A-Za-z]{2}\d{2}")
_IBAN_RUN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30}(?![A-Za-z0-9])")
_IBAN_GROUPS: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[\s.\-_]{1,2}[A-Za-z0-9]{4}){2,7}"
    r"(?:[\s.\-_]{1,2}[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)
_IBAN_WITHIN: Final = re.compile(r"(?=([A-Z]{2}\d{2}[A-Z0-9]{11,30}))")
_IBAN_LENGTHS: Final = range(15, 35)
_COUNTRIES: Final = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 "
    "DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 "
    "IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 "
    "MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 "
    "SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
"""Countries with the lengths of their IBANs; only to find one that letters or digits touch."""

_IBAN_LENGTH_OF: Final = {one[:2]: int(one[2:]) for one in _COUNTRIES.split()}


@lru_cache(maxsize=1024)
def names_secret(name: str) -> bool:
    """Say whether what goes by this name is a secret: `accessToken` as well as `X-Api-Key`."""
    plain = "".join(one for one in name.lower() if one.isalnum())
    return plain in SECRET_NAMES or any(word in plain for word in SECRET_WORDS)


def redact_text(text: str) -> str:
    """Return a text without what looks like a secret, or like an account's number."""
    if _SUSPICIOUS.search(text):
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
    if not _IBAN_BEGINS.search(text):
        return text
    text = _IBAN_GROUPS.sub(_without_grouped, text)
    text = _IBAN_RUN.sub(lambda found: REDACTED if is_iban(found[0]) else found[0], text)
    return _without_embedded(text)


def is_iban(text: str) -> bool:
    """Say whether letters and digits are an IBAN, by its check digits (ISO 13616)."""
    moved = text[4:] + text[:4]
    return int("".join(str(int(one, 36)) for one in moved)) % 97 == 1


def _without_grouped(found: re.Match[str]) -> str:
    """Take out an IBAN in groups of four; the words behind it may have four letters, too."""
    ends = [one.end() for one in re.finditer(r"[A-Za-z0-9]+", found[0])]
    for end in reversed(ends):
        plain = re.sub(r"[^A-Za-z0-9]", "", found[0][:end])
        if len(plain) in _IBAN_LENGTHS and is_iban(plain):
            return REDACTED + found[0][end:]
    return found[0]


def _without_embedded(text: str) -> str:
    """Take out an IBAN that letters or digits touch."""
    for found in reversed([*_IBAN_WITHIN.finditer(text)]):
        length = _IBAN_LENGTH_OF.get(found[1][:2], 0)
        if 0 < length <= len(found[1]) and is_iban(found[1][:length]):
            text = text[: found.start()] + REDACTED + text[found.start() + length :]
    return text
