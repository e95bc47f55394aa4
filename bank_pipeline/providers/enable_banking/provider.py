"""Enable Banking in domain terms: the client fetches, the transforms translate."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import (
    ConfigurationError,
    ProviderError,
    SetupError,
)
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
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.enable_banking import link, window
from bank_pipeline.providers.enable_banking.accounts import (
    account_path,
    to_balances,
    to_institution,
    to_institution_id,
    to_status,
)
from bank_pipeline.providers.enable_banking.aspsps import Aspsps
from bank_pipeline.providers.enable_banking.client import (
    Count,
    EnableBankingClient,
    parse_model,
    read_facts,
)
from bank_pipeline.providers.enable_banking.errors import SESSION_CODES, error_of_code
from bank_pipeline.providers.enable_banking.limits import Limits
from bank_pipeline.providers.enable_banking.listing import fetch_accounts
from bank_pipeline.providers.enable_banking.psu import NO_HEADERS, to_psu_headers
from bank_pipeline.providers.enable_banking.quirks import NONE, Quirks, quirks_of
from bank_pipeline.providers.enable_banking.schemas import (
    EbApplication,
    EbAspspName,
    EbBalance,
    EbBalancesAnswer,
)
from bank_pipeline.providers.enable_banking.sessions import Sessions
from bank_pipeline.providers.enable_banking.signer import Signer, load_key
from bank_pipeline.providers.http import HttpSender
from bank_pipeline.providers.metering import Subject
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.rows import Rows

BASE_URL: Final = "https://api.enablebanking.com"
"""One host for the sandbox and for real banks: the application decides."""
HISTORY_DAYS_MAX: Final = 730  # beyond two years most banks refuse, and some fail
OVERLAP_DAYS: Final = 35  # rows have come a month late, and a pass costs the same
DEEP_DAYS: Final = 89  # at 90 some banks are off by one, and want their customer
CALLS_A_DAY: Final = 4  # of one account, while its holder is not there
SCHEDULED_MAX: Final = 2

_Result = TypeVar("_Result")


class EnableBankingProvider(WindowProvider):
    """
    Enable Banking. Safe to share between threads; the credential is a session's id.

    An account's external id lives as long as its session; its `stable_external_ids` survive.
    """

    provider = Provider.ENABLE_BANKING
    capabilities = Capabilities(
        has_pending=True,
        has_webhooks=False,
        history_days_max=HISTORY_DAYS_MAX,
        overlap_days=OVERLAP_DAYS,
        deep_days=DEEP_DAYS,
        quotas=tuple(
            Quota(scope, calls_max=CALLS_A_DAY, scheduled_max=SCHEDULED_MAX, counts_failures=True)
            for scope in (Scope.BALANCES, Scope.TRANSACTIONS)
        ),
        is_institution_chosen_first=True,
        is_renewed_by_new_connection=True,
        counts_outlive_consents=True,
        cuts_quietly=True,
        is_finished_by_return=True,
        asks_customer_kind=True,
        answers_present_users=True,
    )

    def __init__(
        self,
        *,
        base_url: str,
        application_id: str,
        signer: Signer,
        timeout_s: float,
        redirect_url: str | None,
        gateway_url: str | None,
        cache: Cache,
        retry: Retry = Retry(),  # noqa: B008 - frozen
    ) -> None:
        sender = HttpSender(
            self.provider, base_url=base_url, timeout_s=timeout_s, read_facts=read_facts
        )
        self._client = EnableBankingClient(sender, signer, retry=retry)
        self._sessions = Sessions(self._client, cache)
        named = f"{base_url} {application_id}".encode()
        application = hashlib.blake2b(named, digest_size=8).hexdigest()
        self._aspsps = Aspsps(self._client, cache, key=f"enable_banking/aspsps/{application}")
        self._limits = Limits(self._client, cache)
        self._links = link.LinkSettings(redirect_url, gateway_url)

    def close(self) -> None:
        """Close all idle connections."""
        self._client.close()

    def fetch_status(self, credential: SecretStr, *, archive: Archive) -> ProviderStatus:
        """
        Ask how the session is. Succeeds for one that is gone too: look at `error_code`.

        Source: https://enablebanking.com/docs/api/reference/#get-session
        """
        return to_status(self._sessions.fetch(credential, archive=archive))

    def to_error(self, error_code: str) -> ProviderError:
        """Return the error that a session's status stands for."""
        return error_of_code("sessions/get", error_code)

    def fetch_accounts(
        self, credential: SecretStr, *, archive: Archive, known: Sequence[Account] = ()
    ) -> AccountsAnswer:
        """Return the `known` accounts that the session still shares; complete if it is usable."""
        return fetch_accounts(
            self._client, self._sessions, credential, archive=archive, known=known
        )

    def fetch_balances(
        self,
        credential: SecretStr,
        account: Account,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,
    ) -> BalancesAnswer:
        """
        Fetch one account's balances. The list may be empty: none is stated then.

        Source: https://enablebanking.com/docs/api/reference/#get-account-balances
        """
        bank = self._sessions.bank_of(credential)
        quirks, headers = self._manners(bank, present_user)
        count = Count()
        answer = self._confirmed(
            credential,
            lambda: self._client.call(
                "accounts/balances",
                "GET",
                f"{account_path(account.external_id)}/balances",
                psu_headers=headers,
                archive=archive,
                count=count,
                subject=Subject(account.external_id, Scope.BALANCES),
            ),
        )
        parsed = parse_model(EbBalancesAnswer, answer)
        rows = Rows.of(answer.raw.operation, [answer.raw.body])
        read = [
            rows.read(raw, EbBalance, lambda row, _: row, id_key="balance_type")
            for raw in parsed.balances
        ]
        stated = [row for row in read if row is not None]
        balances = to_balances(stated, account, quirks)
        if quirks.is_card_balance_what_is_left and account.type is AccountType.CREDIT_CARD:
            balances = self._limits.with_limit(balances, account, archive=archive)
        return BalancesAnswer(
            balances=balances,
            quarantined=tuple(rows.quarantined),
            calls_count=count.calls,
        )

    def fetch_window(
        self,
        credential: SecretStr,
        account: Account,
        request: WindowRequest,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,
    ) -> WindowAnswer:
        """
        Fetch one account's transactions of some dates, all pages.

        Neither a status nor a last date is asked for: some banks fail on the one, and none
        needs the other. Pages are archived together, in order, before a row of them is kept.
        """
        bank = self._sessions.bank_of(credential)
        quirks, headers = self._manners(bank, present_user)
        loop, count = window.Loop(), Count()

        def fetch(params: Mapping[str, str], unread: list[RawAnswer]) -> JsonAnswer:
            answer = self._client.call(
                window.OPERATION,
                "GET",
                f"{account_path(account.external_id)}/transactions",
                params=params,
                psu_headers=headers,
                archive=unread.append,
                today=request.window.last,
                count=count,
                subject=Subject(
                    account.external_id, Scope.TRANSACTIONS, cost=window.to_cost(params)
                ),
            )
            looks_again = request.is_first and "strategy" not in params
            named = window.to_operation(bank, since=params["date_from"] if looks_again else None)
            return replace(answer, raw=replace(answer.raw, operation=named))

        try:
            self._confirmed(credential, lambda: window.read_window(fetch, account, request, loop))
        except ProviderError as error:
            for answer in (*loop.pages, *loop.unread):
                archive(answer)
            refusal = window.to_period_error(error, request, quirks)
            if refusal is error:
                raise
            raise refusal from error
        for answer in loop.pages:
            archive(answer)
        read = self.to_window(loop.pages, account, request)
        return replace(
            read,
            covered=None if loop.trouble else read.covered,
            trouble=loop.trouble,
            calls_count=count.calls,
        )

    def to_window(
        self, answers: Sequence[RawAnswer], account: Account, request: WindowRequest
    ) -> WindowAnswer:
        """Translate archived answers of one `fetch_window`, in their order. Pure."""
        return window.to_window(answers, account, request)

    def fetch_institution(self, external_id: str) -> Institution:
        """
        Return one bank, from a list that is at most a day old.

        Raises:
            ConfigurationError: no bank has this name in this country.
        """
        bank = self._aspsps.find(external_id)
        if bank is None:
            raise ConfigurationError(self.provider, "aspsps", code="WRONG_ASPSP_PROVIDED")
        return to_institution(bank, {})

    def fetch_institutions(self) -> InstitutionsAnswer:
        """
        Fetch every bank of every country that tells accounts.

        Source: https://enablebanking.com/docs/api/reference/#get-aspsps
        """
        return self._aspsps.fetch()

    def start_link(self, request: LinkRequest) -> LinkStart:
        """Begin a link, or the renewal of a consent, which is a new one."""
        return link.start_link(self._client, self._aspsps, self._sessions, self._links, request)

    def fetch_link_progress(
        self, external_state: SecretStr, *, returned: Mapping[str, str] | None = None
    ) -> LinkProgress:
        """Read what came back with the customer: the state must be the one of the link."""
        return link.to_progress(external_state, returned)

    def complete_link(self, exchange_token: SecretStr) -> LinkedConnection:
        """Exchange the code for a session and its accounts. Works once per code."""
        linked = link.complete_link(self._client, exchange_token)
        self._limits.remember(linked.accounts.balances if linked.accounts else ())
        return linked

    def disconnect(self, credential: SecretStr) -> None:
        """End the session. Succeeds if it is gone already."""
        link.disconnect(self._client, credential)

    def check_health(self) -> None:
        """
        Ask how our application is: proves the key.

        Raises:
            SetupError: it is not active.

        Source: https://enablebanking.com/docs/api/reference/#get-application
        """
        self._fetch_application()

    def check_links(self) -> None:
        """
        Ask whether customers may come back to us. What is linked goes on without.

        Raises:
            SetupError: our return address is not on the application's list.
        """
        application = self._fetch_application()
        url = self._links.known_url
        if url is not None and url not in (application.redirect_urls or ()):
            raise SetupError(
                f"the Enable Banking application does not allow the return address {url}: add "
                "it in their control panel, or set ENABLE_BANKING_REDIRECT_URL to one it has"
            )

    def _fetch_application(self) -> EbApplication:
        application = parse_model(
            EbApplication, self._client.call("application", "GET", "/application")
        )
        if not application.active:
            raise SetupError(
                "the Enable Banking application is not active: activate it in their control "
                "panel, or link your own accounts there to use it for those"
            )
        return application

    def _confirmed(self, credential: SecretStr, call: Callable[[], _Result]) -> _Result:
        """Make a call; an error that blames the session is believed once the session says so."""
        try:
            return call()
        except ProviderError as error:
            if error.code not in SESSION_CODES:
                raise
            raise self._sessions.to_confirmed(credential, error) from error

    def _manners(
        self, bank: EbAspspName | None, user: PresentUser | None
    ) -> tuple[Quirks, Mapping[str, str]]:
        """Return what is peculiar about a bank, and what it is told of a present user."""
        if bank is None:
            return NONE, NO_HEADERS
        quirks = quirks_of(bank.country, bank.name)
        if user is None:
            return quirks, NO_HEADERS
        return quirks, to_psu_headers(user, self._required_headers(bank), quirks)

    def _required_headers(self, bank: EbAspspName) -> Sequence[str] | None:
        try:
            listed = self._aspsps.find(to_institution_id(bank))
        except ProviderError:
            return None  # unknown: then nothing is sent
        return (listed.required_psu_headers or ()) if listed else None


def build_enable_banking(
    settings: Settings,
    cache: Cache,
    *,
    retry: Retry = Retry(),  # noqa: B008 - frozen
) -> EnableBankingProvider:
    """
    Build Enable Banking from the settings, without a call.

    Raises:
        SetupError: Enable Banking is not configured, or its key cannot be read.
    """
    application_id = settings.enable_banking_application_id
    if application_id is None:
        raise SetupError(
            "Enable Banking is off: set ENABLE_BANKING_APPLICATION_ID and "
            "ENABLE_BANKING_KEY_PATH or ENABLE_BANKING_KEY_BASE64"
        )
    key = load_key(
        path=settings.enable_banking_key_path, text_base64=settings.enable_banking_key_base64
    )
    return EnableBankingProvider(
        base_url=settings.enable_banking_base_url or BASE_URL,
        application_id=application_id,
        signer=Signer(application_id, key),
        timeout_s=settings.provider_timeout_s,
        redirect_url=settings.enable_banking_redirect_url,
        gateway_url=settings.gateway_url,
        cache=cache,
        retry=retry,
    )
