"""
What the simulated Teller knows, and one lock around it.

Operations for faults: `teller:` before `accounts`, `account`, `delete_enrollment`,
`delete_account`, `details`, `balances`, `transactions`, `transaction`, `identity`,
`institutions`. Their subject is the account's id, else the enrollment's, else "".
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, get_args

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.delivery import Outbox
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.ledger import Bank, Login
from bank_pipeline.sandbox.teller import truth
from bank_pipeline.sandbox.teller.announcer import Announcer
from bank_pipeline.sandbox.teller.enrollments import Enrollment, EnrollmentBook, Verification
from bank_pipeline.sandbox.teller.errors import disconnect_error
from bank_pipeline.sandbox.teller.ids import Mint
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.signing import TokenSigner, sign_webhook
from bank_pipeline.sandbox.world import World

FLUSH_S: Final = 30.0
_REQUESTS_MAX: Final = 5_000


class TellerState:
    """
    Everything one simulated Teller knows.

    `lock` guards all of it but the outbox, which has its own: no webhook is sent under the
    lock, so a receiver may call back at once.
    """

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        *,
        faults: FaultPlan,
        options: TellerOptions,
        seed: int = 0,
    ) -> None:
        self.world = world
        self.clock = clock
        self.faults = faults
        self.options = options
        self.lock = threading.RLock()
        self.mint = Mint(seed)
        self.signer = TokenSigner(seed)
        self.enrollments = EnrollmentBook(world, self.mint, options)
        self.calls: Counter[tuple[str, str]] = Counter()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_MAX)
        self.released = threading.Event()  # ends calls that a fault lets hang
        self.secrets = options.signing_secrets
        self.webhooks = Outbox(
            clock,
            sign=self._sign,
            look=self.look,
            timeout_s=options.webhook_timeout_s,
            breaker_least=options.webhook_breaker_least,
            tick_s=options.tick_s,
            signature_header="Teller-Signature",
            user_agent="Teller Webhooks",
        )
        self.announcer = Announcer(world, options, self.enrollments, self.mint, self.webhooks)
        self._unsubscribe: Callable[[], None] | None = None
        self._is_started = False
        self._is_sending = False

    def start(self) -> None:
        """Follow the clock and begin to send webhooks, if there is an address for them."""
        self._unsubscribe = self.clock.on_advance(lambda _: self._on_advance())
        self._is_started = True
        self._send_if_wanted()

    def stop(self) -> None:
        """End what `start` began and let go of hanging calls."""
        self.released.set()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._is_sending:
            self.webhooks.stop()

    def aim(self, url: str | None) -> None:
        """Send webhooks to `url` from now on, or none."""
        with self.lock:
            self.announcer.aim(url, self.clock.now())
            self._send_if_wanted()

    def look(self) -> None:
        """See what the world brought, and announce it."""
        with self.lock:
            self.announcer.look(self.clock.now())

    def settle(self) -> bool:
        """See what is new and wait until its first deliveries were tried."""
        self.look()
        return not self._is_sending or self.webhooks.flush(FLUSH_S)

    def truth_of(self, external_id: str) -> dict[str, Any]:
        """Describe an enrollment as a pipeline that did everything right would hold it now."""
        with self.lock:
            enrollment = self.enrollments.get(external_id)
            if enrollment.removed_at is None:
                self.enrollments.grants(enrollment, self.clock.now())
            return truth.truth_of(self.world, self.options, enrollment)

    def external_ids(self) -> Sequence[str]:
        """Return the ids of the enrollments that were not removed."""
        with self.lock:
            return [one.enrollment_id for one in self.enrollments if one.removed_at is None]

    def login_of(self, enrollment: Enrollment) -> Login:
        """Return whose enrollment it is."""
        return self.world.logins[enrollment.login_id]

    def bank_of(self, enrollment: Enrollment) -> Bank:
        """Return the bank of an enrollment."""
        return self.world.banks[self.login_of(enrollment).bank_id]

    def disconnect(self, enrollment: Enrollment, suffix: str, *, tell: bool = True) -> None:
        """Break an enrollment; `suffix` says why and `tell` sends the webhook of it."""
        enrollment.error = disconnect_error(suffix)
        if tell:
            self.announcer.tell_disconnected(enrollment, enrollment.error, self.clock.now())

    def verify(self, account_id: str, status: Verification) -> None:
        """Let the verification of an account's number stand as told. Unknown: KeyError."""
        if status not in get_args(Verification):
            raise ValueError(status)
        now = self.clock.now()
        enrollment, grant = self.enrollments.find_account(account_id, now)
        grant.verification = status
        if status != "pending":
            self.announcer.tell_verified(enrollment, grant, now)

    def post_webhook(self, wanted: Mapping[str, Any]) -> None:
        """
        Send a webhook by hand.

        `type` with `payload` is sent as usual. Any `body` goes out as it stands; `headers`
        replace its signature: a forged one, or none at all.
        """
        with self.lock:
            if "body" not in wanted:
                kind, payload = str(wanted.get("type", "webhook.test")), wanted.get("payload", {})
                if not self.announcer.send(kind, payload, self.clock.now()):
                    raise ValueError("no address for webhooks is set")
                return
            self._begin_sending()
        self.webhooks.post(
            str(wanted.get("url") or self.announcer.url),
            code=str(wanted.get("type", "CUSTOM")),
            item_id=None,
            body=str(wanted["body"]),
            headers=wanted.get("headers"),
        )

    def _on_advance(self) -> None:
        self.look()
        self.webhooks.wake()

    def _send_if_wanted(self) -> None:
        """Start the thread that sends, which would idle in most tests."""
        if self._is_started and self.announcer.url is not None:
            self._begin_sending()

    def _begin_sending(self) -> None:
        if not self._is_sending:
            self._is_sending = True
            self.webhooks.start()

    def _sign(self, body: bytes, now: datetime) -> str:
        return sign_webhook(body, self.secrets, now)
