"""How the simulated Plaid is set up. Plain values; all durations are in virtual time."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class PlaidOptions:
    """
    The knobs.

    `initial_after` and `historical_after` count from the Item's birth: 30 days of history come
    first, the rest later; real sandboxes take about 10 s and one to two minutes.
    `login_expires_after` None lets logins live for ever (the real sandbox: 30 days).
    `consent_us` None: American consents do not end. `limit_scale` multiplies all rate limits;
    None switches them off. `counterparty_ibans` shows the IBANs of European counterparties as
    documented, which plaid-python 46 cannot read. `public_url` None: hosted pages are where the
    caller found us.

    Source: https://plaid.com/docs/sandbox/, https://plaid.com/docs/errors/rate-limit-exceeded/
    """

    client_id: str = "sandbox-client"
    secret: str = "sandbox-secret"  # noqa: S105 - opens nothing but this simulator
    initial_after: timedelta = timedelta(seconds=10)
    historical_after: timedelta = timedelta(seconds=60)
    initial_days: int = 30
    login_expires_after: timedelta | None = None
    consent_europe: timedelta | None = timedelta(days=180)
    consent_us: timedelta | None = None
    limit_scale: float | None = 1.0
    counterparty_ibans: bool = False
    public_url: str | None = None
    webhook_timeout_s: float = 10.0
    webhook_breaker_least: int = 10  # deliveries before 90 % failures silence the retries
    tick_s: float = 0.5  # real seconds between looks at the world while the clock runs
