"""Teller in domain terms: the client fetches, the transforms translate, nothing is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from bank_pipeline.config import Settings, TellerEnvironment
from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import (
    AccountGoneError,
    ConfigurationError,
    PayloadError,
    ProviderError,
    ReauthRequiredError,
    SetupError,
    TransientError,
    UserActionError,
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
    keep_nothing,
)
from bank_pipeline.providers.base import (
    Capabilities,
    LinkedConnection,
    LinkProgress,
    LinkRequest,
    LinkStart,
    LinkWidget,
    ProviderEvent,
    WindowProvider,
)
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.teller import link
from bank_pipeline.providers.teller.accounts import ACCOUNTS, AccountBook
from bank_pipeline.providers.teller.balances import BALANCES, to_balances_answer
from bank_pipeline.providers.teller.certificate import CertificateProof, load_tls
from bank_pipeline.providers.teller.client import TellerClient, account_path, rows_of
from bank_pipeline.providers.teller.errors import error_of_code
from bank_pipeline.providers.teller.schemas import TellerInstitution
from bank_pipeline.providers.teller.transform import (
    to_institution,
    to_running_balance,
    to_status,
)
from bank_pipeline.providers.teller.webhooks import WebhookVerifier
from bank_pipeline.providers.teller.window import (
    TRANSACTIONS,
    PageReader,
    read_pages,
    to_window_answer,
)

URL: Final = "https://api.teller.io"
"""One host for all environments: the token decides."""

OVERLAP_DAYS: Final = 35  # rows have come a month late; Teller's guide advises 7 to 10 at least
DEEP_DAYS: Final = 89  # each page costs a call, and nothing is counted
_INSTITUTIONS: Final = "institutions"


class TellerProvider(WindowProvider):
    """Teller. Safe to share between threads; the credential is an enrollment's access token."""

    provider = Provider.TELLER
    capabilities = Capabilities(
        has_pending=True,
        has_webhooks=True,
        history_days_max=None,
        overlap_days=OVERLAP_DAYS,
        deep_days=DEEP_DAYS,
        is_linked_on_our_page=True,
        is_finished_by_return=True,
    )

    def __init__(
        self,
        *,
        client: TellerClient,
        application_id: str,
        environment: TellerEnvironment,
        presents_certificate: bool,
        signing_secrets: Sequence[SecretStr] = (),
        token_signing_key: SecretStr | None = None,
        connect_url: str = link.CONNECT_URL,
    ) -> None:
        self._client = client
        self._application_id = application_id
        self._environment = environment
        self._presents_certificate = presents_certificate
        self._verifier = WebhookVerifier(signing_secrets)
        self._token_signing_key = link.load_signing_key(token_signing_key)
        self._connect_url = connect_url
        self._accounts = AccountBook(client)

    def close(self) -> None:
        """Close all idle connections."""
        self._client.close()

    def fetch_status(self, credential: SecretStr, *, archive: Archive) -> ProviderStatus:
        """
        Ask how the connection is. Succeeds for a broken one too: look at `error_code`.

        Source: https://teller.io/docs/api/accounts
        """
        try:
            return to_status(self._accounts.fetch(credential, archive).rows)
        except UserActionError as error:
            return to_status(()).model_copy(update={"error_code": error.code})

    def to_error(self, error_code: str) -> ProviderError:
        """Return the error that a status' own error code stands for."""
        return error_of_code(ACCOUNTS, error_code)

    def fetch_accounts(
        self,
        credential: SecretStr,
        *,
        archive: Archive,
        known: Sequence[Account] = (),  # noqa: ARG002 - Teller tells all of them every time
    ) -> AccountsAnswer:
        """
        Fetch every open account; a closed one is missing, as from an answer that is complete.

        Source: https://teller.io/docs/api/accounts
        """
        return self._accounts.fetch(credential, archive).to_answer()

    def fetch_balances(
        self,
        credential: SecretStr,
        account: Account,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,  # noqa: ARG002 - makes no difference to Teller
    ) -> BalancesAnswer:
        """
        Fetch one account's balances, live from the bank; paid plans are billed for each call.

        Source: https://teller.io/docs/api/account/balances
        """
        calls_count = self._accounts.check(credential, account, BALANCES, archive=archive)
        try:
            answer = self._client.call(
                BALANCES,
                account_path(account.external_id, BALANCES),
                credential=credential,
                archive=archive,
                about_account=True,
            )
        except AccountGoneError as error:
            raise self._accounts.confirm(
                error, credential, account, BALANCES, archive=archive
            ) from error
        return replace(to_balances_answer(answer, account), calls_count=calls_count + 1)

    def fetch_window(
        self,
        credential: SecretStr,
        account: Account,
        request: WindowRequest,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,  # noqa: ARG002 - makes no difference to Teller
    ) -> WindowAnswer:
        """
        Fetch one account's transactions of some dates, all pages; see `window`.

        Its balance is the newest running balance, where the bank states no other; null on all
        rows is unknown.

        Source: https://teller.io/docs/api/account/transactions
        """
        calls_count = self._accounts.check(credential, account, TRANSACTIONS, archive=archive)
        reader = PageReader(self._client, credential, account, request, archive)
        try:
            fetched = reader.fetch_all()
        except AccountGoneError as error:
            raise self._accounts.confirm(
                error, credential, account, TRANSACTIONS, archive=archive
            ) from error
        if isinstance(fetched.trouble, AccountGoneError):
            fetched.trouble = self._confirm(fetched.trouble, credential, account, archive)
        answer = to_window_answer(fetched, account, request)
        answer = replace(answer, calls_count=answer.calls_count + calls_count)
        return self._with_running_balance(answer, account)

    def to_window(
        self, answers: Sequence[RawAnswer], account: Account, request: WindowRequest
    ) -> WindowAnswer:
        """
        Translate archived answers of one `fetch_window`, in their order.

        A running balance comes along only while it is known that the bank states no other.
        """
        answer = to_window_answer(read_pages(answers), account, request)
        return self._with_running_balance(answer, account)

    def fetch_institution(self, external_id: str) -> Institution:
        """
        Fetch one institution: Teller has a list of all, and no page of one.

        Raises:
            ConfigurationError: Teller has no such institution.
        """
        found = self.fetch_institutions().institutions
        institution = next((one for one in found if one.external_id == external_id), None)
        if institution is None:
            raise ConfigurationError(Provider.TELLER, _INSTITUTIONS, code="UNKNOWN_INSTITUTION")
        return institution

    def fetch_institutions(self) -> InstitutionsAnswer:
        """
        Fetch every institution, in one answer. It needs no token.

        Source: https://teller.io/docs/api/institutions
        """
        answer = self._client.call(_INSTITUTIONS, "/institutions")
        rows = Rows.of(_INSTITUTIONS, [answer.raw.body])
        read = [
            rows.read(raw, TellerInstitution, to_institution, id_key="id")
            for raw in rows_of(answer)
        ]
        found = {one.external_id: one for one in read if one is not None}
        return InstitutionsAnswer(tuple(found.values()), tuple(rows.quarantined))

    def start_link(self, request: LinkRequest) -> LinkStart:
        """
        Begin a link, or the repair of an enrollment, on the page that shows Teller Connect.

        Raises:
            SetupError: no such page is named.
        """
        return link.start_link(request)

    def to_link_widget(
        self, external_state: SecretStr, *, renews_external_id: str | None
    ) -> LinkWidget:
        """Return what the page needs to show Teller Connect. A repair keeps all ids. Pure."""
        return link.to_widget(
            external_state,
            script_url=self._connect_url,
            application_id=self._application_id,
            environment=self._environment,
            enrollment_id=renews_external_id,
        )

    def fetch_link_progress(
        self, external_state: SecretStr, *, returned: Mapping[str, str] | None = None
    ) -> LinkProgress:
        """Read what Teller Connect handed to our page; Teller itself cannot be asked."""
        return link.to_progress(
            external_state,
            returned,
            environment=self._environment,
            signing_key=self._token_signing_key,
        )

    def complete_link(self, exchange_token: SecretStr) -> LinkedConnection:
        """
        Open the accounts with the token, which proves it, and keep it. May be repeated.

        Takes a bare access token, too: Teller's development environment allows 100 enrollments
        ever, so one that was made elsewhere is worth keeping.

        A signed token is kept even when the bank does not answer now: no one could hand it
        over again.

        Raises:
            PayloadError: the token opens another enrollment than the one it came with, or none
                that it names.

        Source: https://teller.io/docs/guides/environments
        """
        exchange = link.read_token(exchange_token)
        stated_id = exchange.enrollment_id
        try:
            listed = self._accounts.fetch(exchange.access_token, keep_nothing)
        except (TransientError, ReauthRequiredError):
            if not exchange.is_signed or stated_id is None:
                raise
            return LinkedConnection(
                external_id=stated_id,
                credential=exchange.access_token,
                institution_external_id=None,
                institution_name=exchange.institution_name,
            )
        # A list that names no enrollment proves none: then only Teller's signature does.
        external_id = listed.enrollment_id or (stated_id if exchange.is_signed else None)
        if external_id is None or stated_id not in (None, external_id):
            code = "ENROLLMENT_MISMATCH" if external_id else "NO_ENROLLMENT"
            raise PayloadError(Provider.TELLER, ACCOUNTS, code=code)
        status = to_status(listed.rows)
        return LinkedConnection(
            external_id=external_id,
            credential=exchange.access_token,
            institution_external_id=status.institution_external_id,
            institution_name=status.institution_name or exchange.institution_name,
            accounts=listed.to_answer(),
            raw=listed.raw,
        )

    def disconnect(self, credential: SecretStr) -> None:
        """
        Delete the enrollment, which ends its bill. Succeeds if it is gone already.

        Source: https://teller.io/docs/api/accounts
        """
        try:
            self._client.delete("accounts/delete", "/accounts", credential=credential)
        except UserActionError:
            return  # the token opens nothing any more

    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> ProviderEvent:
        """Return the event if, and only if, Teller sent exactly these bytes recently."""
        return self._verifier.verify(headers, body, now=now)

    def check_health(self) -> None:
        """
        Ask for the institutions, and let Teller look at our certificate if we present one.

        That it is the right application's only a connection can prove.
        """
        self._client.call(_INSTITUTIONS, "/institutions")
        if self._presents_certificate:
            self._client.probe_certificate()

    def _confirm(
        self, gone: AccountGoneError, credential: SecretStr, account: Account, archive: Archive
    ) -> ProviderError:
        """Say what is wrong in truth after rows have come, which are not lost for it."""
        try:
            return self._accounts.confirm(gone, credential, account, TRANSACTIONS, archive=archive)
        except ProviderError as error:
            return error

    def _with_running_balance(self, answer: WindowAnswer, account: Account) -> WindowAnswer:
        if not self._accounts.lacks(account, BALANCES):
            return answer
        balance = to_running_balance(answer.transactions, account)
        return answer if balance is None else replace(answer, balances=(balance,))


def build_teller(
    settings: Settings,
    cache: Cache | None = None,
    *,
    retry: Retry = Retry(),  # noqa: B008 - frozen
) -> TellerProvider:
    """
    Build Teller from the settings, without a call. `cache` lets processes share what they know.

    Raises:
        SetupError: Teller is not configured, or its certificate or keys cannot be used.
    """
    if settings.teller_application_id is None:
        raise SetupError("Teller is off: set TELLER_APPLICATION_ID")
    tls = load_tls(settings)
    client = TellerClient(
        base_url=settings.teller_base_url or URL,
        timeout_s=settings.provider_timeout_s,
        tls=tls,
        proof=CertificateProof(tls.fingerprint, cache),
        retry=retry,
    )
    return TellerProvider(
        client=client,
        application_id=settings.teller_application_id,
        environment=settings.teller_environment,
        presents_certificate=tls.fingerprint is not None,
        signing_secrets=_split(settings.teller_signing_secret),
        token_signing_key=settings.teller_token_signing_key,
        connect_url=settings.teller_connect_url or link.CONNECT_URL,
    )


def _split(secrets: SecretStr | None) -> tuple[SecretStr, ...]:
    texts = (secrets.get_secret_value() if secrets else "").split(",")
    return tuple(SecretStr(text.strip()) for text in texts if text.strip())
