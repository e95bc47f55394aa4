"""How the simulated Teller is set up. Plain values; durations are in virtual time, else in `_s`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

RunningBalances = Literal["usual", "never"]


@dataclass(frozen=True)
class TellerOptions:
    """
    The knobs.

    `links_base` is what the `links` of answers begin with: the real API's address, so that a
    client that follows them fails. `require_certificate` refuses requests on the plain port;
    the TLS port always wants one. `tls_port` 0 opens a free one when it is first asked for.

    `without_balances` are names of accounts whose bank offers no balances. `new_id_share` of
    the pending rows, and all that the bank does not link, get another id when they post.
    `enriched_within` is how long categories take at most. `slow_first_s` are real seconds that
    the first reading of an account's transactions takes, as long histories do.
    `signing_secrets` sign each webhook once; two of them during a rotation.

    Source: https://teller.io/docs/api
    """

    application_id: str = "app_sandbox"
    environment: str = "sandbox"
    links_base: str = "https://api.teller.io"
    require_certificate: bool = False
    tls_port: int = 0
    without_balances: frozenset[str] = frozenset({"Share Draft"})
    running_balances: RunningBalances = "usual"
    new_id_share: float = 0.05
    enriched_within: timedelta = timedelta(hours=6)
    slow_first_s: float = 0.0
    webhook_url: str | None = None
    signing_secrets: tuple[str, ...] = ("teller-signing-secret",)
    webhook_timeout_s: float = 10.0
    webhook_breaker_least: int = 10  # deliveries before 90 % failures silence the retries
    tick_s: float = 0.5  # real seconds between looks at the world while the clock runs
