"""How the simulated GoCardless is set up. Plain values; all durations are in virtual time."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class GoCardlessOptions:
    """
    The knobs.

    `daily_limit` is how many successful calls an account allows per scope in any 24 hours, and
    `limit_scale` multiplies the company's own limits per minute and hour; None switches either
    off, with its headers. `granting` is how long a requisition stays GA, without accounts, after
    its user was sent back; `processing` how long a new account is not READY. `access` and
    `refresh` are the lives of tokens. `may_accept` and `may_reconfirm` are permissions that
    most companies do not have, and have. `public_url` is where this provider is found from outside,
    without a slash at the end; None: where the caller found it.

    Source: https://developer.gocardless.com/bank-account-data/overview
    """

    secret_id: str = "sandbox-secret-id"  # noqa: S105 - opens nothing but this simulator
    secret_key: str = "sandbox-secret-key"  # noqa: S105 - opens nothing but this simulator
    daily_limit: int | None = 4
    limit_scale: float | None = 1.0
    granting: timedelta = timedelta(0)
    processing: timedelta = timedelta(0)
    access: timedelta = timedelta(seconds=86_400)
    refresh: timedelta = timedelta(seconds=2_592_000)
    may_accept: bool = False
    may_reconfirm: bool = True
    public_url: str | None = None
