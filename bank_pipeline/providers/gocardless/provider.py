"""
GoCardless Bank Account Data in domain terms: the client fetches, the transforms translate.

New customers are not taken on any more: since the summer of 2025 the page for signing up says
that new sign-ups are disabled. Those who have keys go on working; everybody else connects
European banks through Enable Banking.

Source: https://bankaccountdata.gocardless.com/overview/
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import ConfigurationError, PayloadError, ProviderError, SetupError
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import (
    AccountsAnswer,
    Archive,
    BalancesAnswer,
    InstitutionsAnswer,
    PresentUser,
    RawAnswer,
    WindowAnswer,
    WindowRequest,
)
from bank_pipeline.providers.base import (
    Capabilities,
    LinkedConnection,
    LinkProgress,
    LinkRequest,
    LinkStart,
    Quota,
    Scope,
    WindowProvider,
)
from bank_pipeline.providers.cache import INSTITUTION_TTL_S, Cache
from bank_pipeline.providers.gocardless import link, windows
from bank_pipeline.providers.gocardless.accounts import HISTORY_ONCE, to_institution
from bank_pipeline.providers.gocardless.balances import to_balances
from bank_pipeline.providers.gocardless.client import Call, GoCardlessClient, to_segment
from bank_pipeline.providers.gocardless.errors import LINKED, NOT_FOUND, error_of_code
from bank_pipeline.providers.gocardless.quirks import quirks_of
from bank_pipeline.providers.gocardless.reader import ConnectionReader, joined
from bank_pipeline.providers.gocardless.refusals import Refusals
from bank_pipeline.providers.gocardless.schemas import (
    GcBalance,
    GcBalancesAnswer,
    GcInstitution,
)
from bank_pipeline.providers.metering import Subject
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.throttle import UNLIMITED, RateLimiter

HOST: Final = "https://bankaccountdata.gocardless.com"
HISTORY_DAYS_MAX: Final = 730
OVERLAP_DAYS: Final = 35  # a call costs the same whatever the range, and banks book late
DEEP_DAYS: Final = 89  # at 90 some banks are off by one, and want their customer
DAILY_CALLS: Final = 4
"""
Successful calls in any 24 hours per account and scope, since March 2025.

Source: https://developer.gocardless.com/bank-account-data/overview
"""

_BALANCES: Final = "accounts/balances"
_INSTITUTION: Final = "institutions/get"
_INSTITUTIONS: Final = "institutions/list"
_RETURN_PATH: Final = "/link/return/gocardless"

_Told = TypeVar("_Told")


def _quota(scope: Scope, *, scheduled_max: int) -> Quota:
    return Quota(scope, calls_max=DAILY_CALLS, scheduled_max=scheduled_max, counts_failures=False)


class GoCardlessProvider(WindowProvider):
    """GoCardless. Safe to share between threads; the credential is a requisition's id."""

    provider = Provider.GOCARDLESS
    capabilities = Capabilities(
        has_pending=True,
        has_webhooks=False,
        history_days_max=HISTORY_DAYS_MAX,
        overlap_days=OVERLAP_DAYS,
        deep_days=DEEP_DAYS,
        quotas=(
            _quota(Scope.DETAILS, scheduled_max=1),
            _quota(Scope.BALANCES, scheduled_max=2),
            _quota(Scope.TRANSACTIONS, scheduled_max=2),
        ),
        is_institution_chosen_first=True,
        is_renewed_by_new_connection=True,
        cuts_quietly=True,
        is_consent_made_at_start=True,
    )

    def __init__(
        self,
        *,
        secret_id: str,
        secret_key: SecretStr,
        base_url: str,
        timeout_s: float,
        redirect_url: str | None,
        cache: Cache,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        limiter: RateLimiter = UNLIMITED,
    ) -> None:
        self._client = GoCardlessClient(
            base_url=base_url,
            secret_id=secret_id,
            secret_key=secret_key,
            timeout_s=timeout_s,
            cache=cache,
            retry=retry,
            limiter=limiter,
        )
        self._cache = cache
        self._redirect_url = redirect_url
        self._refusals = Refusals(cache)
        self._reader = ConnectionReader(self._client, cache, self._refusals)

    def close(self) -> None:
        """Close all idle connections."""
        self._client.close()

    def fetch_status(self, credential: SecretStr, *, archive: Archive) -> ProviderStatus:
        """
        Ask how the requisition stands; a second call, once an hour, tells when it ends.

        Source: https://developer.gocardless.com/bank-account-data/statuses
        """
        return self._reader.fetch_status(credential, archive=archive)

    def to_error(self, error_code: str) -> ProviderError:
        """Return the error that the status of a requisition, or of its accounts, stands for."""
        return error_of_code("requisitions/get", error_code)

    def fetch_accounts(
        self, credential: SecretStr, *, archive: Archive, known: Sequence[Account] = ()
    ) -> AccountsAnswer:
        """
        Fetch every account, free of the daily calls but for the details of new ones.

        `known` accounts whose details were read keep them. An account that GoCardless is
        still fetching, or has given up, is among the `troubles`.

        Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
        """
        return self._reader.fetch_accounts(credential, archive=archive, known=known)

    def fetch_balances(
        self,
        credential: SecretStr,
        account: Account,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,  # noqa: ARG002 - makes no difference here
    ) -> BalancesAnswer:
        """
        Fetch one account's balances: one of four daily calls.

        Source: https://developer.gocardless.com/bank-account-data/balance
        """
        facts = self._reader.facts_of(account, credential, archive=archive)
        call = Call(
            _BALANCES,
            f"accounts/{to_segment(account.external_id)}/balances/",
            archived_as=f"{_BALANCES}?account={account.external_id}",
            subject=Subject(account.external_id, Scope.BALANCES),
        )
        with self._refusals.asking_balances(facts.agreement, account.external_id, _BALANCES):
            answer = self._client.call(call, archive=archive)
        parsed = calls.parse_model(Provider.GOCARDLESS, _BALANCES, GcBalancesAnswer, answer.body)
        rows = Rows.of(_BALANCES, [answer.raw.body])
        read = [rows.read(raw, GcBalance, _as_it_is, id_key="") for raw in parsed.balances]
        return BalancesAnswer(
            balances=to_balances(
                [raw for raw in read if raw is not None], account, quirks_of(facts.institution)
            ),
            quarantined=tuple(rows.quarantined),
        )

    def fetch_window(
        self,
        credential: SecretStr,
        account: Account,
        request: WindowRequest,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,  # noqa: ARG002 - makes no difference here
    ) -> WindowAnswer:
        """
        Fetch one account's transactions since a date: one of four daily calls, whatever it is.

        The first time, all that the consent permits. No last date is ever sent: it could be
        ahead of GoCardless's own today.

        Source: https://developer.gocardless.com/bank-account-data/transactions
        """
        facts = self._reader.facts_of(account, credential, archive=archive)
        date_from = windows.to_date_from(request, facts.institution)
        whole_since = self._reader.whole_since(facts, today=request.window.last)
        call = Call(
            windows.TRANSACTIONS,
            f"accounts/{to_segment(account.external_id)}/transactions/",
            params={"date_from": date_from.isoformat()} if date_from else None,
            archived_as=windows.to_operation(
                account,
                institution_id=facts.institution,
                whole_since=whole_since if whole_since > request.window.first else None,
            ),
            subject=Subject(account.external_id, Scope.TRANSACTIONS),
        )
        with self._refusals.asking_transactions(
            facts.agreement, account.external_id, windows.TRANSACTIONS, today=request.window.last
        ):
            answer = self._client.call(call, archive=archive)
        return self.to_window([answer.raw], account, request)

    def to_window(
        self, answers: Sequence[RawAnswer], account: Account, request: WindowRequest
    ) -> WindowAnswer:
        """Translate the archived answer of one `fetch_window`. Pure."""
        return windows.to_window(answers, account, request)

    def fetch_institution(self, external_id: str) -> Institution:
        """
        Fetch one bank with its limits.

        Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
        """
        return to_institution(self._fetch_institution(external_id))

    def fetch_institutions(self) -> InstitutionsAnswer:
        """
        Fetch every bank of every country, in one call; some are listed twice.

        Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
        """
        answer = self._client.call(Call(_INSTITUTIONS, "institutions/"))
        if not isinstance(answer.body, list):
            raise PayloadError(Provider.GOCARDLESS, _INSTITUTIONS, code="NOT_A_LIST")
        rows = Rows(_INSTITUTIONS, has_odd_text=True)
        found: dict[str, Institution] = {}
        for raw in answer.body:
            institution = rows.read(raw, GcInstitution, _to_institution, id_key="id")
            if institution is not None:
                found[institution.external_id] = institution
        return InstitutionsAnswer(tuple(found.values()), tuple(rows.quarantined))

    def start_link(self, request: LinkRequest) -> LinkStart:
        """
        Begin a link at one bank; a renewal is another link, and another connection.

        Raises:
            SetupError: without a bank that there is, or without an address to come back to.
        """
        institution_id = link.check_institution(request.institution_external_id)
        return_url = link.check_address(request.return_url or self._redirect_url)
        try:
            raw = self._fetch_institution(institution_id)
        except ConfigurationError as error:
            if error.code != NOT_FOUND:
                raise
            raise link.not_offered(institution_id) from None
        return link.start_link(
            self._client,
            request,
            to_institution(raw),
            gives_history_once=HISTORY_ONCE in (raw.supported_features or ()),
            return_url=return_url,
        )

    def fetch_link_progress(
        self,
        external_state: SecretStr,
        *,
        returned: Mapping[str, str] | None = None,  # noqa: ARG002 - GoCardless is asked instead
    ) -> LinkProgress:
        """Ask how far the customer has come; what the address says is not trusted."""
        return link.to_progress(self._reader.fetch_requisition(external_state, archive=_nowhere))

    def complete_link(self, exchange_token: SecretStr) -> LinkedConnection:
        """
        Take over a requisition that is linked, with its accounts. May be done again.

        Details are read as far as they can be: what is missing comes with the accounts later.

        Raises:
            ReauthRequiredError: the customer has not given, or has withdrawn, the consent.
        """
        raws: list[RawAnswer] = []
        requisition = self._reader.fetch_requisition(exchange_token, archive=raws.append)
        if requisition.status != LINKED:
            raise self.to_error(requisition.status)
        accounts = _or_none(
            lambda: self._reader.read_accounts(
                requisition, archive=raws.append, is_best_effort=True
            )
        )
        return LinkedConnection(
            external_id=requisition.id,
            credential=exchange_token,
            institution_external_id=requisition.institution_id,
            institution_name=_or_none(lambda: self._name_of(requisition.institution_id)),
            consent_expires_at=_or_none(lambda: self._reader.consent_end(requisition)),
            accounts=accounts,
            raw=joined(raws) if accounts else None,
        )

    def disconnect(self, credential: SecretStr) -> None:
        """End the consent at GoCardless. Succeeds if it is gone already."""
        link.disconnect(self._client, credential)

    def check_health(self) -> None:
        """Ask for one requisition of ours: the cheapest call that proves keys and network."""
        self._client.call(Call("requisitions/list", "requisitions/", params={"limit": "1"}))

    def _fetch_institution(self, institution_id: str) -> GcInstitution:
        call = Call(_INSTITUTION, f"institutions/{to_segment(institution_id)}/")
        answer = self._client.call(call)
        return calls.parse_model(Provider.GOCARDLESS, _INSTITUTION, GcInstitution, answer.body)

    def _name_of(self, institution_id: str | None) -> str | None:
        """Return a bank's name, known for a day."""
        if institution_id is None:
            return None

        def ask() -> dict[str, Any]:
            return {"name": self._fetch_institution(institution_id).name}

        key = f"gocardless-name-{institution_id}"
        return self._cache.get_or_create(key, ask, ttl_s=INSTITUTION_TTL_S).get("name")


def build_gocardless(
    settings: Settings,
    cache: Cache,
    *,
    retry: Retry = Retry(),  # noqa: B008 - frozen
    limiter: RateLimiter = UNLIMITED,
) -> GoCardlessProvider:
    """
    Build GoCardless from the settings, without a call.

    Raises:
        SetupError: GoCardless is not configured.
    """
    if settings.gocardless_secret_id is None or settings.gocardless_secret_key is None:
        raise SetupError(
            "GoCardless is off: set GOCARDLESS_SECRET_ID and GOCARDLESS_SECRET_KEY. It takes no "
            "new customers: without keys of old, use Enable Banking"
        )
    gateway_url = (settings.gateway_url or "").rstrip("/")
    own_page = f"{gateway_url}{_RETURN_PATH}" if gateway_url else None
    return GoCardlessProvider(
        secret_id=settings.gocardless_secret_id,
        secret_key=settings.gocardless_secret_key,
        base_url=settings.gocardless_base_url or HOST,
        timeout_s=settings.provider_timeout_s,
        redirect_url=settings.gocardless_redirect_url or own_page,
        cache=cache,
        retry=retry,
        limiter=limiter,
    )


def _or_none(ask: Callable[[], _Told]) -> _Told | None:
    """Return what is asked for, or None: a link that is made must not be lost for want of it."""
    try:
        return ask()
    except ProviderError:
        return None


def _to_institution(raw: GcInstitution, _unreadable: Mapping[str, Any]) -> Institution:
    return to_institution(raw)


def _as_it_is(raw: GcBalance, _unreadable: Mapping[str, Any]) -> GcBalance:
    return raw


def _nowhere(_answer: RawAnswer) -> None:
    """What is asked for in the middle of a link is not kept: it names its secret link."""
