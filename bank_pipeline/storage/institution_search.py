"""
Find a bank by what people type: in any case, with or without accents, its words in any order.

Compared in Python: not every PostgreSQL has the extension `unaccent`, and people spell ü both
u and ue. All banks of all providers are some 25,000 short rows.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.institutions import HISTORY_DAYS
from bank_pipeline.storage.tables import institutions

# GoCardless takes no new customers, so that most can link a European bank elsewhere only.
PROVIDERS: Final = (
    Provider.ENABLE_BANKING,
    Provider.GOCARDLESS,
    Provider.PLAID,
    Provider.TELLER,
)
"""The order in which several providers of one bank are listed."""


@dataclass(frozen=True)
class FoundInstitution:
    """
    A bank that can be linked, as one provider offers it.

    `external_id` names it when linking. `history_days` is how far back it goes and
    `consent_days` how long a consent lasts, None where nobody says. `popularity` is how
    often it was linked here.
    """

    provider: Provider
    external_id: str
    name: str
    countries: tuple[str, ...]
    bic: str | None
    url: str | None
    logo_url: str | None
    is_beta: bool | None
    customer_kinds: tuple[str, ...]
    history_days: int | None
    consent_days: int | None
    popularity: int


@dataclass(frozen=True)
class _Match:
    """A found bank, how well its name fits (0 best), and its name as it is compared."""

    found: FoundInstitution
    rank: int
    name: str


def search_institutions(
    db: sa.Connection,
    text: str,
    *,
    country: str | None = None,
    providers: Collection[Provider] | None = None,
    limit: int,
) -> list[FoundInstitution]:
    """
    Find the banks in whose name, external id or BIC every word of `text` occurs.

    Only banks that are offered now, by one of `providers` where they are given; `country` is an
    ISO 3166 alpha-2 code. First those named
    exactly so, then those whose name begins so, then the others; among these, those that are
    linked here most often, then by name. One bank of several providers stands together, the
    providers in the order of `PROVIDERS`. A text without a word finds every bank.
    """
    wanted = _spellings(text)
    words = [_spellings(word) for word in text.split()]
    matches = [
        _to_match(row, wanted)
        for row in db.execute(_select(country, providers))
        if _has_all(words, f"{row.name} {row.external_id} {row.bic or ''}")
    ]
    # Of all providers together, or else a bank's rows would part when one of them is linked.
    popularity = Counter[str]()
    for match in matches:
        popularity[match.name] += match.found.popularity

    def order(match: _Match) -> tuple[object, ...]:
        place = PROVIDERS.index(match.found.provider)
        key = match.found.countries, match.found.external_id
        return match.rank, -popularity[match.name], match.name, place, key

    return [match.found for match in sorted(matches, key=order)[:limit]]


def load_same_bank(
    db: sa.Connection, provider: Provider, external_id: str, other: Provider
) -> tuple[str, ...]:
    """
    Load what another provider calls a bank: by BIC, else by name, within its countries.

    Several where it cannot be told; none where the other's list was not read, or lacks it.
    """
    known = (institutions.c.provider == provider) & (institutions.c.external_id == external_id)
    bank = db.execute(sa.select(institutions).where(known)).one_or_none()
    if bank is None:
        return ()
    offered = db.execute(
        sa.select(institutions).where(
            institutions.c.provider == other,
            institutions.c.removed_at.is_(None),
            institutions.c.countries.overlap(bank.countries),
        )
    ).all()
    by_bic = [
        one.external_id for one in offered if _bic(one.bic) and _bic(one.bic) == _bic(bank.bic)
    ]
    names = set(_spellings(bank.name))
    by_name = [one.external_id for one in offered if names & set(_spellings(one.name))]
    both = sorted(set(by_bic) & set(by_name))
    return tuple(both or sorted(by_bic) or sorted(by_name))


def _bic(bic: str | None) -> str:
    """Return the part of a BIC that names the bank and not its branch."""
    return (bic or "").upper()[:8]


def list_countries(db: sa.Connection, providers: Collection[Provider]) -> list[str]:
    """List the countries whose banks these providers offer now, as ISO 3166 alpha-2 codes."""
    code = sa.func.unnest(institutions.c.countries).label("code")
    query = sa.select(code).where(
        institutions.c.provider.in_(providers), institutions.c.removed_at.is_(None)
    )
    return [*db.scalars(query.distinct().order_by("code"))]


def _select(country: str | None, providers: Collection[Provider] | None) -> sa.Select[Any]:
    columns = institutions.c
    query = sa.select(
        columns.provider,
        columns.external_id,
        columns.name,
        columns.countries,
        columns.bic,
        columns.url,
        columns.logo_url,
        columns.is_beta,
        columns.customer_kinds,
        HISTORY_DAYS.label("history_days"),
        columns.consent_days_max.label("consent_days"),
        columns.popularity,
    ).where(columns.removed_at.is_(None))
    if country is not None:
        query = query.where(sa.literal(country) == columns.countries.any_())
    if providers is not None:
        query = query.where(columns.provider.in_(providers))
    return query


def _to_match(row: sa.Row[Any], wanted: tuple[str, str]) -> _Match:
    found = FoundInstitution(
        Provider(row.provider),
        row.external_id,
        row.name,
        tuple(row.countries),
        row.bic,
        row.url,
        row.logo_url,
        row.is_beta,
        tuple(row.customer_kinds),
        row.history_days,
        row.consent_days,
        row.popularity,
    )
    names = _spellings(row.name)
    if any(name == one for name in names for one in wanted):
        rank = 0
    elif any(name.startswith(one) for name in names for one in wanted):
        rank = 1
    else:
        rank = 2
    return _Match(found, rank, names[0])


def _has_all(words: list[tuple[str, str]], text: str) -> bool:
    """Say whether each word is in the text, spelt in one way or the other."""
    spelt = " ".join(_spellings(text))
    return all(one in spelt or other in spelt for one, other in words)


_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
)
"""Letters that Unicode does not take apart into a plain one and its mark."""
_PAIRS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""Two letters for one, as those write who lack the key."""


def _spellings(text: str) -> tuple[str, str]:
    """Return a text as it is compared, its letters without marks, and written as pairs."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return _to_plain(folded), _to_plain(folded.translate(_PAIRS))


def _to_plain(folded: str) -> str:
    """Drop the marks of letters; what is neither letter nor digit parts words."""
    if not folded.isascii():
        apart = unicodedata.normalize("NFKD", folded.translate(_LETTERS))
        folded = "".join(c for c in apart if not unicodedata.combining(c)).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in folded).split())
