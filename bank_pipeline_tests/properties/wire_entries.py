"""
Movements of money as odd as a bank may have them: what is true, before anybody writes it down.

Each comes of one number, so that hypothesis draws thousands at little cost and shrinks a
failure to the one movement that fails.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from hypothesis import Phase
from hypothesis import strategies as st

from bank_pipeline.sandbox.ledger import AccountKind, BankAccount, Entry, EntryState, Party

TODAY: Final = date(2026, 11, 20)
NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOLDER: Final = "Marie Ångström-O'Neil"
OWN_IBAN: Final = "DE02500105170137075030"
PHASES: Final = (Phase.reuse, Phase.generate, Phase.shrink)  # explaining costs minutes here
ROWS_MAX: Final = 50
"""Of one example; a test's `max_examples` times this is how many rows it reads at most."""

NO_REFERENCE: Final = "NOTPROVIDED"
_CURRENCIES: Final = ("EUR", "EUR", "EUR", "USD", "JPY", "KWD", "SEK", None, "USDC")
_FOREIGN: Final = ("GBP", "CHF", "MXN")
_ALPHABETS: Final = (
    (0x20, 0x7E),
    (0xA1, 0x24F),  # Latin with accents
    (0x300, 0x36F),  # marks that combine with what stands before
    (0x391, 0x3C9),
    (0x410, 0x44F),
    (0x5D0, 0x5EA),
    (0x621, 0x64A),
    (0x905, 0x939),
    (0xE01, 0xE30),
    (0x4E00, 0x4FFF),
    (0xAC00, 0xAD00),
    (0x1F600, 0x1F64F),
)
_PLAIN: Final = (
    "Blue Cup 4711",
    "WHOLEFDS MKT 10234",
    "Miete November, Wohnung 3",
    "Zażółć gęślą jaźń",
    "ΚΑΦΕΝΕΙΟ ΗΛΙΟΣ",
    "咖啡店 东京都",
    "مقهى الشمس",
)
_NASTY: Final = (
    "",
    " ",
    "\t\u00a0\u2003",
    "-",
    "  blanks around  ",
    "two  blanks\tand a tab",
    "line one\nline two\r\nline three",
    "quote \" and ' and \\ and \\u0041 and \\U0001F600",
    '{"amount":"1.00"}',
    "',(\"); DROP TABLE transactions; --",
    "<script>alert(1)</script> &amp;",
    "%s {0} ${HOME}",
    "=HYPERLINK(A1)",
    "bell \x07 escape \x1b delete \x7f next \x85 end",
    "zero\u200bwidth \ufeff mark, \u202eright to left",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 flag \U0001f1e9\U0001f1ea",
    "e\u0301 is not \u00e9",
    "NULL",
    "NaN",
    "0",
    "\ufffd",
    "x" * 2_500,
    "long " * 600,
)
ODD: Final = ("nul \0 inside", "half \ud83d of it", "\udc00", "a\0")
"""Texts that JSON can carry and no database can hold."""

_SOMEBODY: Final = (
    "Blue Cup",
    "Émile & Fils S.A.R.L.",
    "株式会社サンプル",
    "Ромашка и Цветы",
    'J. "Jack" Doe \\ Sons',
    "Cafe\u0301 de l'Été",
    "A" * 300,
    "Zoë 😀 Shop",
)
_NOBODY: Final = (
    "",
    "   ",
    "NOTPROVIDED",
    "n/a",
    "0000",
    HOLDER,
    HOLDER.upper(),
    "Angstrom O'Neil, Marie",
    "Frau Marie Ångström-O'Neil",
)
"""Names that stand for nobody, or for the holder in another spelling."""

_REFERENCES: Final = (None, NO_REFERENCE, "RF18 5390 0754 7034", "ref-ü-1", "Invoice 2026 \\ 3")
_CATEGORIES: Final = (
    "FOOD_AND_DRINK_GROCERIES",
    "INCOME_WAGES",
    "TRANSFER_OUT_ACCOUNT_TRANSFER",
)
_DAYS: Final = (
    date(2024, 2, 29),
    date(2000, 2, 29),
    date(1999, 12, 31),
    date(2025, 12, 31),
    date(2026, 1, 1),
    TODAY,
    TODAY + timedelta(days=1),
    TODAY + timedelta(days=2),
    TODAY + timedelta(days=400),
)


@dataclass(frozen=True)
class Movement:
    """
    An entry of the ledger; `party_name` is the other side's, None if nobody else is named.

    `running` is the booked balance after it, where the bank knows it.
    """

    entry: Entry
    party_name: str | None
    running: Decimal | None

    @property
    def is_pending(self) -> bool:
        return self.entry.state is EntryState.PENDING

    @property
    def code(self) -> str | None:
        """The currency's code, official or not."""
        return self.entry.currency or self.entry.unofficial_currency


@dataclass(frozen=True)
class Habit:
    """
    What of the world a provider can say at all.

    `currency` is the only one of the account, where its rows name none. `is_booked_undated`:
    a booked row may have a value date alone. `has_odd_text`: see `ODD`.
    """

    currency: str | None = "any"
    is_booked_undated: bool = False
    has_odd_text: bool = True


def movements_of(seeds: list[int], texts: list[str], habit: Habit) -> list[Movement]:
    """Return one movement for each number; one in ten has a twin."""
    found: list[Movement] = []
    for place, seed in enumerate(seeds):
        dice = Random(seed)
        movement = _movement(dice, f"world.{place}", texts, habit)
        found.append(movement)
        if dice.random() < 0.1:
            found.append(_twin(movement))
    return found


seeds: Final = st.lists(st.integers(0, 2**48), min_size=30, max_size=ROWS_MAX, unique=True)
texts: Final = st.lists(st.text(max_size=40), min_size=3, max_size=6)


def account(kind: AccountKind = AccountKind.CHECKING, currency: str | None = "EUR") -> BankAccount:
    """Return an account of the ledger."""
    return BankAccount(
        id="world-account",
        login_id="login",
        kind=kind,
        name="Current",
        official_name=None,
        mask="0001",
        currency=currency,
        unofficial_currency=None,
        opened_on=date(1999, 1, 1),
        iban=OWN_IBAN,
    )


def amount_of(dice: Random) -> Decimal:
    """Return an amount of up to 18 decimals: nothing, a little, a lot, more than there is."""
    decimals = dice.choice((0, 1, 2, 2, 2, 3, 4, 8, 18))
    size = dice.choice((0, 10, 10**4, 10**4, 10**9, 10**15, 10**35))
    units = dice.randrange(size * 10**decimals) if size else 0
    amount = Decimal((dice.getrandbits(1), tuple(map(int, str(units))), -decimals))
    rolled = dice.random()
    if rolled < 0.1:
        return Decimal(f"{dice.choice('+-')}7E{dice.choice('+-')}{decimals}")
    return amount


def _movement(dice: Random, entry_id: str, texts: list[str], habit: Habit) -> Movement:
    is_pending = dice.random() < 0.3
    paid_on = _day(dice)
    booked_on = None if is_pending else _booked_on(dice, paid_on)
    value_on = booked_on + timedelta(days=dice.randrange(-3, 4)) if booked_on else None
    if booked_on and habit.is_booked_undated and dice.random() < 0.05:
        booked_on = None
    code = dice.choice(_CURRENCIES) if habit.currency == "any" else habit.currency
    amount = amount_of(dice)
    party, party_name = _party(dice)
    is_abroad = dice.random() < 0.15
    source = _like(amount, amount_of(dice))
    entry = Entry(
        id=entry_id,
        version=1,
        account_id="world-account",
        state=EntryState.PENDING if is_pending else EntryState.BOOKED,
        amount=amount,
        currency=None if code == "USDC" else code,
        unofficial_currency=code if code == "USDC" else None,
        transaction_date=paid_on,
        booking_date=booked_on,
        value_date=value_on,
        occurred_at=_moment(dice, paid_on),
        description=text_of(dice, texts, habit),
        original_description=text_of(dice, texts, habit),
        party=party,
        category=dice.choice(_CATEGORIES),
        channel=dice.choice(("online", "in store", "other")),
        check_number=dice.choice((None, None, None, "0001042")),
        reference=dice.choice(_REFERENCES),
        source_amount=source if is_abroad else None,
        source_currency=dice.choice(_FOREIGN) if is_abroad else None,
        exchange_rate=_rate(dice) if is_abroad else None,
        linked=bool(dice.getrandbits(1)),
    )
    running = amount_of(dice) if not is_pending and dice.getrandbits(1) else None
    return Movement(entry, party_name, running)


def text_of(dice: Random, texts: list[str], habit: Habit) -> str:
    """Return a text: an ordinary one, a nasty one, one that hypothesis drew, or any signs."""
    rolled = dice.random()
    if rolled < 0.3:
        return dice.choice(_PLAIN)
    if rolled < 0.6:
        return dice.choice(_NASTY)
    if rolled < 0.7:
        return dice.choice(texts)
    if rolled < 0.72 and habit.has_odd_text:
        return dice.choice(ODD)
    low, high = dice.choice(_ALPHABETS)
    return "".join(chr(dice.randint(low, high)) for _ in range(dice.randrange(1, 60)))


def _twin(movement: Movement) -> Movement:
    twin = {**movement.entry.__dict__, "id": f"{movement.entry.id}-twin"}
    return Movement(Entry(**twin), movement.party_name, movement.running)


def _day(dice: Random) -> date:
    rolled = dice.random()
    if rolled < 0.4:
        return dice.choice(_DAYS)
    return TODAY - timedelta(days=dice.randrange(0, 730 if rolled < 0.9 else 10_000))


def _booked_on(dice: Random, paid_on: date) -> date:
    return paid_on + timedelta(days=dice.randrange(4))


def _moment(dice: Random, day: date) -> datetime | None:
    if dice.getrandbits(1):
        return None
    return datetime.combine(day, time(dice.randrange(1, 24), 5, 9), UTC)


def _party(dice: Random) -> tuple[Party | None, str | None]:
    rolled = dice.random()
    iban = dice.choice((None, "FR7630006000011234567890189"))
    if rolled < 0.25:
        return None, None
    if rolled < 0.7:
        name = dice.choice(_SOMEBODY)
        return Party(name=name, kind="merchant", iban=iban), name
    return Party(name=dice.choice(_NOBODY), kind="merchant", iban=iban), None


def _like(amount: Decimal, other: Decimal) -> Decimal:
    """Return another amount in the same direction."""
    if amount == 0:
        return Decimal(0)
    return (other or Decimal(3)).copy_sign(amount)


def _rate(dice: Random) -> Decimal:
    return Decimal(dice.randrange(1, 10**9)).scaleb(-6)
