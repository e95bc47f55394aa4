"""How the simulated Enable Banking is set up. Plain values."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

REDIRECT_URLS: Final = (
    "https://app.example.com/connect/enable_banking",
    "http://127.0.0.1:4520/link/return/enable_banking",
)
REAL_CLOCK: Final = "real"
VIRTUAL_CLOCK: Final = "virtual"


@dataclass(frozen=True)
class Application:
    """
    One registered application; its id is the `kid` of the tokens it signs.

    `restricted` ones see only the accounts that were linked in the control panel. Without a
    `public_key_pem` the simulator's own key pair counts.
    """

    application_id: str
    name: str
    environment: str = "SANDBOX"  # or PRODUCTION
    redirect_urls: tuple[str, ...] = REDIRECT_URLS
    active: bool = True
    restricted: bool = False
    public_key_pem: str | None = None


SANDBOX: Final = Application("5a1d0000-0000-4000-8000-000000000001", "Sandbox application")
PRODUCTION: Final = Application(
    "5a1d0000-0000-4000-8000-000000000002", "Production application", "PRODUCTION"
)
RESTRICTED: Final = Application(
    "5a1d0000-0000-4000-8000-000000000003",
    "Restricted application",
    "PRODUCTION",
    restricted=True,
)
INACTIVE: Final = Application(
    "5a1d0000-0000-4000-8000-000000000004", "Inactive application", "PRODUCTION", active=False
)


@dataclass(frozen=True)
class EnableBankingOptions:
    """
    The knobs. Durations are in virtual time.

    `jwt_clock` is what tokens are timed by: clients that sign by themselves use the real clock.
    `lenient_jwt` accepts tokens written in the standard base64 alphabet. `unattended_per_day`
    counts per account and endpoint; None lets everybody in. `page_size` None is each bank's
    own. `public_url` None: the consent page is where the caller found us.
    """

    applications: tuple[Application, ...] = (SANDBOX, PRODUCTION, RESTRICTED, INACTIVE)
    jwt_clock: str = REAL_CLOCK
    lenient_jwt: bool = False
    link_ttl: timedelta = timedelta(hours=1)
    code_ttl: timedelta = timedelta(minutes=10)
    continuation_ttl: timedelta = timedelta(hours=1)
    unattended_per_day: int | None = 4
    page_size: int | None = None
    public_url: str | None = None
