"""
The ways in which banks show the same ledger through GoCardless, as data.

A profile changes what is on the wire, never what is true. `truth.py` says where the truth is
found in each.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Sign(StrEnum):
    """Which sign amounts have."""

    TRUE = "true"  # as the holder sees it
    FLIPPED = "flipped"  # positive is money out
    UNSIGNED_PENDING = "unsigned_pending"  # pending purchases lack their minus
    FOREIGN = "foreign"  # card payments abroad in the foreign currency, the billed amount in text


class Text(StrEnum):
    """Where the remittance text is."""

    PLAIN = "plain"  # in remittanceInformationUnstructured, more in additionalInformation
    ARRAY = "array"  # only in the array: party, note
    ARRAY_CARD = "array_card"  # only in the array, with the payee before `,PAS nnn`
    CUT = "cut"  # the text cut at 140 characters, all of it in the array
    STRUCTURED = "structured"  # only in remittanceInformationStructured
    ADDITIONAL = "additional"  # only in additionalInformation
    PARTY_ADDITIONAL = "party_additional"  # the payee in additionalInformation, no names
    GREEK = "greek"  # purchases that are pending begin with a word for it


class Ids(StrEnum):
    """What identifies a booked row besides GoCardless's own id."""

    GOOD = "good"
    BLANK = "blank"  # "", " ", NOTPROVIDED or nothing, and no id of GoCardless either
    DUPLICATE = "duplicate"  # two rows share one
    REUSED = "reused"  # many rows share `9998`
    NOT_PROVIDED = "not_provided"  # all rows say NOTPROVIDED
    MALFORMED = "malformed"  # some begin with 00DEBIT or 00CREDIT


class Dates(StrEnum):
    """Where the true booking date is."""

    BOOKING = "booking"
    VALUE = "value"  # in valueDate; bookingDate is a day late
    VALUE_MOMENT = "value_moment"  # in valueDateTime, in local time; bookingDate is a day late


class Pending(StrEnum):
    """How pending rows are shown."""

    SHOWN = "shown"
    MISSING = "missing"  # no such list
    EMPTY = "empty"
    UNDATED = "undated"
    AHEAD = "ahead"  # dated two days late, so often in the future
    PLACEHOLDERS = "placeholders"  # without a text of use


class Exchange(StrEnum):
    """The shape of currencyExchange."""

    LIST = "list"
    OBJECT = "object"
    INSTRUCTED = "instructed"  # a list with the amount that was ordered


class After(StrEnum):
    """The shape of balanceAfterTransaction."""

    ABSENT = "absent"
    NESTED = "nested"
    FLAT = "flat"
    TEXT = "text"


class Amounts(StrEnum):
    """How amounts are written."""

    USUAL = "usual"  # with the currency's decimals, or more
    BARE = "bare"  # without trailing zeros
    LONG = "long"  # at least four decimals


class Measure(StrEnum):
    """What a balance measures."""

    BOOKED = "booked"
    AVAILABLE = "available"
    EXPECTED = "expected"  # booked and pending
    STALE = "stale"  # booked, a day ago
    INVOICED_DEBT = "invoiced_debt"  # what is owed but for `NOT_INVOICED`, positive
    NOT_INVOICED = "not_invoiced"  # this month's rows, signed
    OTHER_CURRENCY = "other_currency"  # one unit of a currency that the account is not in


class Iban(StrEnum):
    """What the field `iban` holds."""

    PLAIN = "plain"
    MASKED_PAN = "masked_pan"
    GREENLAND = "greenland"  # an invented one, as in GoCardless's own sandbox


@dataclass(frozen=True)
class Line:
    """One balance in an answer. `included` None leaves creditLimitIncluded out."""

    kind: str
    measure: Measure
    included: bool | None = None


_INTERIM: Final = (
    Line("interimBooked", Measure.BOOKED, included=False),
    Line("interimAvailable", Measure.AVAILABLE, included=True),
)


@dataclass(frozen=True)
class Profile:
    """
    One bank's habits.

    `booked` and `available` are the measures of the balances that a reader who knows the bank
    takes for the two, None where it tells none. Without `owner_shown` the owner, the bank's own
    id of an account, and its BBAN outside the details are missing. `extra` adds an undocumented
    key.
    """

    sign: Sign = Sign.TRUE
    text: Text = Text.PLAIN
    ids: Ids = Ids.GOOD
    dates: Dates = Dates.BOOKING
    pending: Pending = Pending.SHOWN
    exchange: Exchange = Exchange.LIST
    after: After = After.ABSENT
    amounts: Amounts = Amounts.USUAL
    iban: Iban = Iban.PLAIN
    balances: tuple[Line, ...] = _INTERIM
    booked: Measure | None = Measure.BOOKED
    available: Measure | None = Measure.AVAILABLE
    owner_shown: bool = True
    account_as_text: bool = False
    lists_closed: bool = False
    extra: bool = False

    def has_internal_ids(self) -> bool:
        """Whether booked rows carry GoCardless's own id."""
        return self.ids is not Ids.BLANK

    def shows_pending(self) -> bool:
        """Whether pending rows can be used: they are shown, and dated."""
        return self.pending in (Pending.SHOWN, Pending.AHEAD)


_NO_AVAILABLE: Final = (Line("closingBooked", Measure.BOOKED),)
_ONLY_AVAILABLE: Final = (Line("interimAvailable", Measure.BOOKED),)

PLAIN: Final = Profile(balances=(*_INTERIM, Line("expected", Measure.EXPECTED)), after=After.NESTED)
SIMPLE: Final = Profile()
SANDBOX: Final = Profile(
    iban=Iban.GREENLAND,
    balances=(*_ONLY_AVAILABLE, Line("expected", Measure.BOOKED)),
    available=Measure.BOOKED,
)
WALLET: Final = Profile(
    text=Text.ARRAY, exchange=Exchange.OBJECT, after=After.FLAT, amounts=Amounts.BARE
)
DUTCH: Final = Profile(
    text=Text.ARRAY_CARD, dates=Dates.VALUE_MOMENT, owner_shown=False, extra=True
)
BRITISH: Final = Profile(ids=Ids.MALFORMED, pending=Pending.AHEAD)
FLIPPED_CARD: Final = Profile(
    sign=Sign.FLIPPED,
    text=Text.PARTY_ADDITIONAL,
    dates=Dates.VALUE,
    pending=Pending.EMPTY,
    balances=(
        Line("expected", Measure.INVOICED_DEBT),
        Line("nonInvoiced", Measure.NOT_INVOICED),
    ),
    available=None,
)
FLIPPED_LOAN: Final = Profile(
    sign=Sign.FLIPPED,
    ids=Ids.BLANK,
    pending=Pending.MISSING,
    amounts=Amounts.LONG,
    balances=_NO_AVAILABLE,
    available=None,
)
GREEK: Final = Profile(
    sign=Sign.UNSIGNED_PENDING,
    text=Text.GREEK,
    balances=_ONLY_AVAILABLE,
    available=Measure.BOOKED,
    exchange=Exchange.INSTRUCTED,
)
UNDATED: Final = Profile(
    pending=Pending.UNDATED,
    balances=(
        Line("interimAvailable", Measure.AVAILABLE, included=True),
        Line("expected", Measure.BOOKED),
    ),
)
CHARGE_CARD: Final = Profile(
    pending=Pending.EMPTY,
    iban=Iban.MASKED_PAN,
    balances=(Line("information", Measure.BOOKED),),
    available=None,
)
CUT: Final = Profile(
    text=Text.CUT,
    pending=Pending.MISSING,
    balances=(
        Line("closingBooked", Measure.STALE),
        Line("closingBooked", Measure.BOOKED),
        Line("forwardAvailable", Measure.AVAILABLE, included=True),
    ),
)
BELGIAN: Final = Profile(ids=Ids.DUPLICATE, account_as_text=True, after=After.TEXT)
REUSED: Final = Profile(ids=Ids.REUSED)
NO_IDS: Final = Profile(ids=Ids.NOT_PROVIDED)
ANONYMOUS: Final = Profile(ids=Ids.BLANK)
FOREIGN_CARD: Final = Profile(sign=Sign.FOREIGN, dates=Dates.VALUE, pending=Pending.EMPTY)
PLACEHOLDERS: Final = Profile(pending=Pending.PLACEHOLDERS)
STRUCTURED: Final = Profile(text=Text.STRUCTURED)
ADDITIONAL: Final = Profile(text=Text.ADDITIONAL)
SPACES: Final = Profile(lists_closed=True)
NO_BALANCES: Final = Profile(balances=(), booked=None, available=None)
MIXED: Final = Profile(
    balances=(
        Line("interimBooked", Measure.OTHER_CURRENCY),
        *_INTERIM,
        Line("walletReserve", Measure.EXPECTED),
    ),
    exchange=Exchange.INSTRUCTED,
    extra=True,
)
