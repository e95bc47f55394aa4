"""Small simulations: one or two customers for some days, with the trouble that it takes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.simulation.customers import Customer
from bank_pipeline.simulation.plan import Plan, Trouble
from bank_pipeline.simulation.report import Report
from bank_pipeline.simulation.run import live

_ALL_YEAR: Final = 365.0


@dataclass(frozen=True)
class Stage:
    """
    One small simulation; the same one without a defect finds nothing.

    Without the weekly deeper passes nothing is mended that the usual windows missed.
    """

    name: str
    customer: Customer
    plan: Plan
    days: int = 14
    seed: int = 1
    listens: bool = False
    has_deeper_passes: bool = True

    def play(self, server_url: str) -> Report:
        """Live through it."""
        return live(
            self.seed,
            days=self.days,
            connections=1,
            plan=self.plan,
            server_url=server_url,
            listens=self.listens,
            people=[self.customer],
        )


def _customer(
    provider: Provider, bank_id: str, institution: str | None = None, *, is_odd: bool = False
) -> Customer:
    return Customer(0, provider, bank_id, institution, is_odd, timedelta(0))


def _plan(name: str, temper: str = "wild", **times_a_year: float) -> Plan:
    rates = {Trouble[kind.upper()]: times for kind, times in times_a_year.items()}
    return Plan(name, temper=temper, rates=rates)


PLAID: Final = _customer(Provider.PLAID, "us-harbor")
PLAID_IN_CANADA: Final = _customer(Provider.PLAID, "ca-boreal")
TELLER: Final = _customer(Provider.TELLER, "us-harbor")
GOCARDLESS: Final = _customer(Provider.GOCARDLESS, "de-mueritz", "MUERITZ_MRTZDE21XXX")
ENABLE_BANKING: Final = _customer(
    Provider.ENABLE_BANKING, "de-mueritz", "DE:Sparkasse Müritz-Öchtringen"
)
NAMELESS: Final = _customer(Provider.ENABLE_BANKING, "de-mueritz", "DE:Namenlose Bank", is_odd=True)

WILD: Final = _plan("wild")

PLAID_WILD: Final = Stage("Plaid", PLAID, WILD)
PLAID_ABROAD: Final = Stage("Plaid in Canada", PLAID_IN_CANADA, WILD, days=6)
TELLER_WILD: Final = Stage("Teller", TELLER, WILD)
GOCARDLESS_WILD: Final = Stage("GoCardless", GOCARDLESS, WILD)
ENABLE_BANKING_WILD: Final = Stage("Enable Banking", ENABLE_BANKING, WILD)
NAMELESS_WILD: Final = Stage("a bank without ids", NAMELESS, WILD)
LOST_CURSORS: Final = Stage(
    "lost cursors", PLAID, _plan("lost cursors", cursor_rejected=_ALL_YEAR * 4)
)
KILLED: Final = Stage(
    "killed",
    PLAID,
    _plan("killed", killed=_ALL_YEAR * 1.5, webhook_lost=1.0),
    has_deeper_passes=False,
)
CONCURRENT: Final = Stage(
    "two at once", TELLER, _plan("two at once", "calm", concurrent=_ALL_YEAR / 3), days=6
)
BUSY: Final = Stage(
    "asked often", GOCARDLESS, _plan("busy", "calm", concurrent=_ALL_YEAR * 10), days=4
)
SHALLOW: Final = Stage("without deeper passes", GOCARDLESS, WILD, has_deeper_passes=False)
MACHINE_OFF: Final = Stage(
    "machine off", GOCARDLESS, _plan("machine off", machine_off=_ALL_YEAR / 4), days=20
)
OUT: Final = Stage(
    "provider out for days",
    GOCARDLESS,
    _plan("out", "calm", provider_out_for_days=_ALL_YEAR / 4),
)
KEYS: Final = Stage("keys refused", TELLER, _plan("keys", "calm", keys_refused=_ALL_YEAR / 4))
EXPIRED: Final = Stage("expired", GOCARDLESS, _plan("expired", "calm", consent_expired=40))
CLOSED: Final = Stage(
    "an account closed", TELLER, _plan("closed", "calm", account_closed=_ALL_YEAR / 2), days=8
)
HEARD: Final = Stage("heard", PLAID, _plan("heard", "calm"), days=2, listens=True)

EVERY_TIME: Final = (PLAID_ABROAD, CONCURRENT, HEARD)
"""What is played with every run of the tests; the others by `make mutants`."""
