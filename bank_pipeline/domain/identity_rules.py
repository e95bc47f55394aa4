"""How far a bank's own words about its rows are believed, as data. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bank_pipeline.domain.account import AccountType


class RunningBalances(StrEnum):
    """
    Whether the balance after a row tells equal rows apart.

    CHECKED: where the balances of an answer follow from row to row. TRUSTED: even where no
    other row proves it. IGNORED: the bank writes one balance on all rows, or any.
    """

    CHECKED = "checked"
    TRUSTED = "trusted"
    IGNORED = "ignored"


_CARD_DAYS: Final[Mapping[AccountType, int]] = MappingProxyType({AccountType.CREDIT_CARD: 45})


@dataclass(frozen=True)
class IdentityRules:
    """
    What differs between providers and banks where rows are recognised; the defaults doubt.

    `are_ids_lasting`: an id is given once and never to another row, so that a row which differs
    under its id was corrected. `pending_days` is how long a payment stays pending at most, by
    type of account, else `pending_days_usual`: hotels and car rentals hold money for a month.
    """

    are_ids_lasting: bool = False
    running_balances: RunningBalances = RunningBalances.CHECKED
    pending_days: Mapping[AccountType, int] = field(default_factory=lambda: _CARD_DAYS)
    pending_days_usual: int = 35

    def pending_days_max(self, kind: AccountType | None) -> int:
        """Return how many days a row of such an account stays pending at most."""
        if kind is None:
            return max([self.pending_days_usual, *self.pending_days.values()])
        return self.pending_days.get(kind, self.pending_days_usual)


DOUBTED: Final = IdentityRules()
LASTING: Final = IdentityRules(are_ids_lasting=True)
