"""Search: banks are found as people type them, and the best one first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.storage.institution_search import FoundInstitution, search_institutions
from bank_pipeline.storage.institutions import (
    add_popularity,
    learn_history_days,
    save_institution,
    save_institutions,
)

PLAID: Final = Provider.PLAID
GOCARDLESS: Final = Provider.GOCARDLESS
ENABLE_BANKING: Final = Provider.ENABLE_BANKING


def bank(
    name: str, *, provider: Provider = PLAID, country: str = "DE", **fields: Any
) -> Institution:
    external_id = fields.pop("external_id", f"{country}-{name}")
    return Institution(
        provider=provider, external_id=external_id, name=name, countries=(country,), **fields
    )


def save(db: sa.Connection, now: datetime, *banks: Institution) -> None:
    for one in banks:
        save_institution(db, one, now=now)


def names(found: Sequence[FoundInstitution]) -> list[str]:
    return [one.name for one in found]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("muritz ochtringen", "Sparkasse Müritz-Öchtringen"),
        ("Mueritz", "Sparkasse Müritz-Öchtringen"),
        ("MÜRITZ", "Sparkasse Muritz"),
        ("Müritz", "Sparkasse Mueritz"),
        ("Mu\u0308ritz", "Sparkasse M\u00fcritz"),
        ("credit du soleil", "Crédit du Soleil"),
        ("soleil crédit", "CREDIT DU SOLEIL"),
        ("jyske ostjylland", "Jyske Østjylland"),
        ("Oestjylland", "Jyske Østjylland"),
        ("slaski", "ING Bank Śląski"),
        ("zlotow", "Bank Spółdzielczy Złotów"),
        ("strasse", "Bank an der Straße"),
        ("is bankasi", "Türkiye \u0130ş Bankas\u0131"),
        ("εθνικη", "Εθνική Τράπεζα"),
        ("l'essentiel", "Banque L\u2019Essentiel"),
        ("marks & spencer", "Marks and Spencer Bank"),
        ("s-pankki", "S-Pankki"),
        ("boreal banque", "Banque Boréale / Boreal Bank"),
        ("bank", "N26 Bank AG"),
        ("N26", "N26 Bank AG"),
    ],
)
def test_a_bank_is_found_as_it_is_typed(
    db: sa.Connection, now: datetime, text: str, name: str
) -> None:
    """In any case, with and without accents, all words in any order."""
    save(db, now, bank(name, external_id="x"), bank("Other", external_id="y"))

    assert names(search_institutions(db, text, limit=5)) == [name]


@pytest.mark.parametrize("text", ["soleil lyon", "cr_dit", "sole%l", "Sole!l", "soleill"])
def test_a_word_that_does_not_occur_finds_nothing(
    db: sa.Connection, now: datetime, text: str
) -> None:
    """Every word must occur, and no sign stands for others."""
    save(db, now, bank("Crédit du Soleil"))

    assert search_institutions(db, text, limit=5) == []


def test_a_bank_is_found_by_its_id_and_by_its_bic(db: sa.Connection, now: datetime) -> None:
    save(db, now, bank("Volksbank", external_id="VOBA_GENODEF1", bic="GENODEF1XYZ"), bank("Other"))

    for text in ("voba_genodef1", "genodef1xyz", "volksbank XYZ"):
        assert names(search_institutions(db, text, limit=5)) == ["Volksbank"]


def test_country_and_provider_narrow(db: sa.Connection, now: datetime) -> None:
    revolut = bank("Revolut", external_id="REVOLUT").model_copy(update={"countries": ("DE", "FR")})
    save(db, now, revolut, bank("Revolut", provider=ENABLE_BANKING, country="LT"))

    def ids(**narrowed: Any) -> list[str]:
        return [f.external_id for f in search_institutions(db, "rev", limit=5, **narrowed)]

    assert ids(country="FR") == ["REVOLUT"]
    assert ids(country="LT") == ["LT-Revolut"]
    assert ids(providers=[PLAID]) == ["REVOLUT"]
    assert ids(country="FR", providers=[ENABLE_BANKING]) == []
    assert len(ids()) == 2


def test_only_banks_on_offer_are_found(db: sa.Connection, now: datetime) -> None:
    save_institutions(db, PLAID, [bank("Old Bank"), bank("New Bank")], now=now)
    save_institutions(db, PLAID, [bank("New Bank")], now=now)

    assert names(search_institutions(db, "bank", limit=5)) == ["New Bank"]


def test_the_exact_name_comes_first_then_its_beginnings_then_the_popular(
    db: sa.Connection, now: datetime
) -> None:
    save(db, now, *map(bank, ["Volksbanking", "ING DiBa", "Ing", "Ing Belgium", "Sparing"]))
    for _ in range(3):
        add_popularity(db, PLAID, "DE-Sparing")
    add_popularity(db, PLAID, "DE-ING DiBa")

    found = names(search_institutions(db, "ING", limit=10))

    assert found == ["Ing", "ING DiBa", "Ing Belgium", "Sparing", "Volksbanking"]
    assert names(search_institutions(db, "ING", limit=2)) == found[:2]


def test_one_bank_of_several_providers_stands_together(db: sa.Connection, now: datetime) -> None:
    """In an order of its own, whichever was linked most: first where new customers are taken."""
    for provider in (Provider.TELLER, PLAID, GOCARDLESS, ENABLE_BANKING):
        save(db, now, bank("Bank B", provider=provider), bank("Bank A", provider=provider))
    add_popularity(db, GOCARDLESS, "DE-Bank B")

    found = search_institutions(db, "bank", limit=10)

    order = [ENABLE_BANKING, GOCARDLESS, PLAID, Provider.TELLER]
    assert names(found) == ["Bank B"] * 4 + ["Bank A"] * 4
    assert [one.provider for one in found] == order * 2


def test_what_is_known_of_a_bank_is_told(db: sa.Connection, now: datetime) -> None:
    """The history that it gives is the shorter of what it says and what it gave."""
    told = bank(
        "Bank",
        bic="BANKDEFF",
        url="https://bank.example",
        logo_url="https://bank.example/logo.png",
        is_beta=True,
        customer_kinds=("personal",),
        history_days_max=730,
        consent_days_max=180,
    )
    save(db, now, told)
    learn_history_days(db, PLAID, "DE-Bank", 89)
    add_popularity(db, PLAID, "DE-Bank")

    assert search_institutions(db, "bank", limit=1) == [
        FoundInstitution(
            provider=PLAID,
            external_id="DE-Bank",
            name="Bank",
            countries=("DE",),
            bic="BANKDEFF",
            url="https://bank.example",
            logo_url="https://bank.example/logo.png",
            is_beta=True,
            customer_kinds=("personal",),
            history_days=89,
            consent_days=180,
            popularity=1,
        )
    ]


def test_without_a_word_every_bank_is_found(db: sa.Connection, now: datetime) -> None:
    save(db, now, bank("Bank"), bank("Caisse", country="FR"))

    assert names(search_institutions(db, " ", limit=5)) == ["Bank", "Caisse"]
    assert names(search_institutions(db, "", country="FR", limit=5)) == ["Caisse"]
