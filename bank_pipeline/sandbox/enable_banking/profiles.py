"""What is odd about a bank, as data: each oddity was seen at a real one. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

HALF_YEAR_S: Final = 15_552_000  # 180 days, the longest consent that is usual
QUARTER_S: Final = 7_776_000
FRESH_FOR: Final = timedelta(seconds=180)  # how long some banks open their archives


class References(StrEnum):
    """How a bank names its entries."""

    STABLE = "stable"  # per account, the same for a pending row and the booked one
    SHARED = "shared"  # stable, but another account uses the same ones
    NEW_WHEN_BOOKED = "new_when_booked"
    RESTLESS = "restless"  # another one at the next call
    NUMBERED = "numbered"  # the place in its day, the newest first: a late row renumbers the day
    NONE = "none"


class Remittance(StrEnum):
    """How a bank writes what an entry was for."""

    LINES = "lines"
    BLANKS = "blanks"  # lines between empty ones
    STRING = "string"  # against the specification
    EMPTY = "empty"  # an empty list
    KEY_VALUE = "key_value"  # Omschrijving, Kenmerk, Naam
    DANISH = "danish"  # Dankort-køb, Nota nr
    AUSTRIAN = "austrian"  # POS 45,13 AT D6 31.07. 10:27


class Balances(StrEnum):
    """Which balances a bank tells."""

    INTERIM = "interim"  # ITBD, ITAV
    CLOSING = "closing"  # CLBD, OPBD, XPCD, CLAV
    VALUED = "valued"  # ITBD, ITAV, VALU
    CARD_ZERO = "card_zero"  # closing ones; of a card only OTHR, always 0
    OVERDRAFT = "overdraft"  # interim ones; what is available includes an overdraft
    REMAINING = "remaining"  # interim ones; of a card only what is left of its limit
    EMPTY = "empty"


class Refusal(StrEnum):
    """What a bank answers when asked for more history than it gives."""

    CUT = "cut"  # what there is, without a word
    DATED = "dated"  # says from which date on it would
    BARE = "bare"
    BANK_BODY = "bank_body"  # the bank's own error, passed through
    BANK_ERROR = "bank_error"


class PendingFilter(StrEnum):
    """What a bank does when asked for pending rows alone."""

    SUPPORTED = "supported"
    UNPROCESSABLE = "unprocessable"
    BAD_REQUEST = "bad_request"
    BANK_ERROR = "bank_error"


@dataclass(frozen=True)
class Profile:
    """
    A bank's ways; the defaults are those of an honest one.

    `history_days` bounds what it ever gives, `fresh_days` what it gives later than `FRESH_FOR`
    after the customer authenticated; None: all. `digits` is the least number of decimals.
    """

    references: References = References.STABLE
    remittance: Remittance = Remittance.LINES
    balances: Balances = Balances.INTERIM
    refusal: Refusal = Refusal.CUT
    pending_filter: PendingFilter = PendingFilter.SUPPORTED
    history_days: int | None = None
    fresh_days: int | None = None
    page_size: int = 200
    consent_s: int = HALF_YEAR_S
    required_psu_headers: tuple[str, ...] = ()
    approach: str = "REDIRECT"
    business: bool = True
    running_balance: str | None = "true"  # or "xxx": without a currency
    digits: int = 0
    sandbox_users: bool = False
    shows_pending: bool = True
    # Each of these is one oddity.
    negative_amounts: bool = False
    account_currency_unknown: bool = False
    account_id_is_list: bool = False
    both_numbers: bool = False  # IBAN and BBAN, so two hashes
    last_without_uid: bool = False
    mirrored_cards: bool = False  # card accounts repeat card rows of the current account
    pending_stays: bool = False  # beside the booked row, for two days
    pending_in_foreign_money: bool = False
    holds_and_others: bool = False  # HOLD, OTHR, and SCHD, CNCL, RJCT that are no money
    undated: bool = False  # some booked rows have no booking_date
    party_is_card: bool = False
    tells_own_side: bool = False  # the holder is debtor of money out, creditor of money in
    all_null: bool = False  # every optional field
    ignores_filters: bool = False
    stale_longest: bool = False
    empty_first_page: bool = False
    pages_lose_filter: bool = False  # asked for a status, there is a page 2, and it fails
    pages_count: bool = False  # every page is an access
    refuses_psu_headers: bool = False


HONEST: Final = Profile()


@dataclass(frozen=True)
class Aspsp:
    """A bank as Enable Banking lists it: known by name and country; `bank_id` is the world's."""

    name: str
    country: str
    bank_id: str
    profile: Profile = HONEST
    bic: str | None = None
    is_mock: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Name and country."""
        return self.name, self.country
