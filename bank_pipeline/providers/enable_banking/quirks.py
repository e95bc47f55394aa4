"""
What single banks do otherwise than documented, as data.

There are no ids: a bank's name begins with `name`, in any case, and it is in one of
`countries`, where none means anywhere. Rules that hold for every bank are in the transforms.

Source: https://enablebanking.com/docs/faq/
"""

from dataclasses import dataclass
from typing import Final

from bank_pipeline.domain.identity_rules import DOUBTED, IdentityRules


@dataclass(frozen=True)
class Quirks:
    """
    One bank's peculiarities; the defaults are what the documentation says.

    `history_days_max`: beyond so many days it answers ASPSP_ERROR instead of a word on the
    period. `takes_psu_headers`: it does not fail when told who is present.
    `is_overdraft_in_available`: what it calls available holds the overdraft.
    `is_card_balance_what_is_left`: the balance of a card is what can still be spent, not what
    is owed. `are_references_stable`: one row has one entry reference for ever.
    `is_hold_without_dates`: a booked row with neither booking nor value date is a hold.
    `identity_rules`: how far its references and balances are believed, once a row has one.
    """

    history_days_max: int | None = None
    takes_psu_headers: bool = True
    is_overdraft_in_available: bool = False
    is_card_balance_what_is_left: bool = False
    are_references_stable: bool = True
    is_hold_without_dates: bool = False
    identity_rules: IdentityRules = DOUBTED


@dataclass(frozen=True)
class Bank:
    """How a bank of the registry is recognised, and what is peculiar about it."""

    name: str
    quirks: Quirks
    countries: tuple[str, ...] = ()


NONE: Final = Quirks()

BANKS: Final[tuple[Bank, ...]] = (
    Bank("BNP Paribas Fortis", Quirks(history_days_max=730), ("BE",)),
    Bank("HypoVereinsbank", Quirks(takes_psu_headers=False), ("DE",)),
    Bank("Caixa Geral", Quirks(is_overdraft_in_available=True), ("PT",)),
    Bank("Bank Norwegian", Quirks(is_card_balance_what_is_left=True)),
    Bank("mBank", Quirks(is_card_balance_what_is_left=True), ("PL",)),
    Bank("DSK", Quirks(is_hold_without_dates=True), ("BG",)),
    # The sandbox's stand-in for banks that hand out new references on every look.
    Bank("Banque Changeante", Quirks(are_references_stable=False), ("LU",)),
)
"""
Others need no entry, because they are recognised by what they send: Wise's longest history
that lacks the newest rows and its cards for names, Trade Republic's paging, N26's own errors,
ABN AMRO's keys and values, and entry references that only number the rows of a day.
"""


def quirks_of(country: str | None, name: str | None) -> Quirks:
    """Return the peculiarities of the bank of this name."""
    folded = (name or "").casefold()
    for bank in BANKS:
        is_there = not bank.countries or (country or "").upper() in bank.countries
        if is_there and folded.startswith(bank.name.casefold()):
            return bank.quirks
    return NONE
