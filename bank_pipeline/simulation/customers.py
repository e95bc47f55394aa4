"""Who lives in the simulated year, where they bank, and through which provider they come. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.banks import OFFERS, Offer
from bank_pipeline.sandbox.chance import dice

PROVIDERS: Final = (
    Provider.PLAID,
    Provider.GOCARDLESS,
    Provider.TELLER,
    Provider.ENABLE_BANKING,
)
ACCOUNTS_PER_BANK: Final[Mapping[str, tuple[int, ...]]] = {
    "us-harbor": (0, 2),
    "us-prairie": (0,),
    "de-mueritz": (0,),
    "gb-meridian": (0,),
    "fr-soleil": (0, 2),
    "ca-boreal": (0, 1),
}
"""Which of a bank's offers its customers take: few, because a year of each is read every day."""

SMALL_OFFERS: Final[Mapping[str, tuple[Offer, ...]]] = {
    bank_id: tuple(OFFERS[bank_id][index] for index in taken)
    for bank_id, taken in ACCOUNTS_PER_BANK.items()
}
OPENED_LATER: Final[Mapping[str, Offer]] = {
    "us-harbor": OFFERS["us-harbor"][1],
    "us-prairie": OFFERS["us-prairie"][1],
    "de-mueritz": OFFERS["de-mueritz"][1],
    "gb-meridian": OFFERS["gb-meridian"][1],
    "fr-soleil": OFFERS["fr-soleil"][1],
    "ca-boreal": OFFERS["ca-boreal"][2],
}
"""What a customer may open once in the year: nothing that could be taken for what they have."""

ARRIVALS: Final = 0.3
"""Customers arrive over this share of the year."""

_BANKS: Final[Mapping[Provider, tuple[str, ...]]] = {
    Provider.PLAID: ("us-harbor", "gb-meridian", "ca-boreal", "fr-soleil"),
    Provider.TELLER: ("us-harbor", "us-prairie"),
}
_GOCARDLESS: Final = (
    ("MUERITZ_MRTZDE21XXX", "de-mueritz"),
    ("SOLEIL_SOLEFRPPXXX", "fr-soleil"),
    ("MERIDIAN_MRDNGB2L", "gb-meridian"),
)
_GOCARDLESS_ODD: Final = (
    ("ABNAMRO_ABNANL2A", "de-mueritz"),
    ("NATIONWIDE_NAIAGB21", "gb-meridian"),
    ("NBG_ETHNGRAAXXX", "fr-soleil"),
    ("BELFIUS_GKCCBEBB", "fr-soleil"),
    ("ING_INGBROBU", "de-mueritz"),
    ("COOPERATIVE_RETAIL_CPBKGB22", "gb-meridian"),
    ("REVOLUT_REVOLT21", "gb-meridian"),
    ("SEB_KORT_AB_SE_SKHSFI21", "fr-soleil"),
    ("CETELEM_CETMPTP1XXX", "fr-soleil"),
    ("NORWEGIAN_NO_NORWNOK1", "de-mueritz"),
    ("MONZO_MONZGB2L", "gb-meridian"),
    ("SPK_WORMS_ALZEY_RIED_MALADE51WOR", "de-mueritz"),
    ("N26_NTSBDEB1", "de-mueritz"),
    ("PAYPAL_PPLXLULL", "fr-soleil"),
)
_ENABLE_BANKING: Final = (
    ("Sparkasse Müritz-Öchtringen", "DE", "de-mueritz"),
    ("Crédit du Soleil", "FR", "fr-soleil"),
    ("Meridian Money", "GB", "gb-meridian"),
)
_ENABLE_BANKING_ODD: Final = (
    ("Nordea", "DK", "fr-soleil"),
    ("Wise", "GB", "gb-meridian"),
    ("N26", "DE", "de-mueritz"),
    ("ABN AMRO", "NL", "de-mueritz"),
    ("Trade Republic", "DE", "de-mueritz"),
    ("Revolut", "LT", "gb-meridian"),
    ("Société Générale", "FR", "fr-soleil"),
    ("Minusbank", "AT", "de-mueritz"),
    ("Namenlose Bank", "DE", "de-mueritz"),
    ("Banque Changeante", "LU", "fr-soleil"),
    ("Doppelbank", "DE", "de-mueritz"),
    ("Swedbank", "SE", "de-mueritz"),
    ("Erste Bank", "AT", "de-mueritz"),
)


@dataclass(frozen=True)
class Customer:
    """
    One customer who will connect one login.

    `bank_id` is the world's; `institution` names the bank for providers that want it chosen
    first, and `is_odd` says that it has known oddities. `arrives_after` counts from the start.
    """

    number: int
    provider: Provider
    bank_id: str
    institution: str | None
    is_odd: bool
    arrives_after: timedelta


def customers(seed: int, *, count: int, days: int, has_odd_banks: bool) -> list[Customer]:
    """Return everybody of one year, spread over the providers, in the order they arrive."""
    invited = [_customer(seed, number, days, has_odd_banks) for number in range(count)]
    return sorted(invited, key=lambda one: (one.arrives_after, one.number))


def _customer(seed: int, number: int, days: int, has_odd_banks: bool) -> Customer:  # noqa: FBT001
    rolled = dice(seed, "customer", number)
    provider = PROVIDERS[number % len(PROVIDERS)]
    turn = number // len(PROVIDERS)
    is_odd = has_odd_banks and turn % 2 == 1
    bank_id, institution = _bank_of(provider, turn, rolled, is_odd=is_odd)
    latest = days * ARRIVALS * 24 * 60
    minutes = 0 if number < len(PROVIDERS) else rolled.randrange(max(1, int(latest)))
    return Customer(
        number=number,
        provider=provider,
        bank_id=bank_id,
        institution=institution,
        is_odd=is_odd and institution is not None,
        arrives_after=timedelta(minutes=minutes + number),
    )


def _bank_of(
    provider: Provider, turn: int, rolled: Random, *, is_odd: bool
) -> tuple[str, str | None]:
    if provider is Provider.GOCARDLESS:
        known = rolled.choice(_GOCARDLESS_ODD) if is_odd else _GOCARDLESS[turn % 3]
        return known[1], known[0]
    if provider is Provider.ENABLE_BANKING:
        name, country, bank_id = (
            rolled.choice(_ENABLE_BANKING_ODD) if is_odd else _ENABLE_BANKING[turn % 3]
        )
        return bank_id, f"{country}:{name}"
    banks = _BANKS[provider]
    return banks[turn % len(banks)], None
