"""Plaid in domain terms: the client fetches, the transforms translate, nothing is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import SecretStr

from bank_pipeline.config import Environment, Settings
from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import ProviderError, SetupError, TransientError
from bank_pipeline.providers.answers import (
    AccountsAnswer,
    Archive,
    ChangesAnswer,
    InstitutionsAnswer,
    RawAnswer,
)
from bank_pipeline.providers.base import (
    Capabilities,
    FeedProvider,
    LinkedConnection,
    LinkProgress,
    LinkRequest,
    LinkStart,
    LinkWidget,
    ProviderEvent,
)
from bank_pipeline.providers.plaid import institutions, link
from bank_pipeline.providers.plaid.changes import to_accounts, to_item_status
from bank_pipeline.providers.plaid.client import SYNC, PlaidClient, parse_model, parse_pages
from bank_pipeline.providers.plaid.errors import error_of_code
from bank_pipeline.providers.plaid.schemas import (
    PlaidAccountsAnswer,
    PlaidInstitutionAnswer,
    PlaidItemAnswer,
)
from bank_pipeline.providers.plaid.transform import to_institution, to_status
from bank_pipeline.providers.plaid.updates import nothing_yet, to_changes, to_long_changes
from bank_pipeline.providers.plaid.webhooks import WebhookVerifier
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.throttle import UNLIMITED, RateLimiter

HOSTS: Final[Mapping[Environment, str]] = {
    Environment.SANDBOX: "https://sandbox.plaid.com",
    Environment.PRODUCTION: "https://production.plaid.com",
}
HISTORY_DAYS_MAX: Final = 730  # Plaid hands over two years at most
HELD_PAGES_MAX: Final = 20  # 10,000 rows; a longer update is read page by page, twice
WEBHOOK_KEY_TIMEOUT_S: Final = 5.0  # Plaid waits 10 s for our answer to a webhook
_NOT_READY: Final = "PRODUCT_NOT_READY"


class PlaidProvider(FeedProvider):
    """Plaid. Safe to share between threads; the credential is an Item's access token."""

    provider = Provider.PLAID
    capabilities = Capabilities(
        has_pending=True,
        has_webhooks=True,
        history_days_max=HISTORY_DAYS_MAX,
        overlap_days=0,
    )

    def __init__(  # noqa: PLR0913 - the composition root names each of them once
        self,
        *,
        client_id: str,
        secret: SecretStr,
        base_url: str,
        timeout_s: float,
        country_codes: Sequence[str],
        language: str,
        client_name: str,
        redirect_uri: str | None,
        webhook_url: str | None,
        days_requested: int,
        embedded_script_url: str | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        limiter: RateLimiter = UNLIMITED,
    ) -> None:
        def client(timeout_s: float) -> PlaidClient:
            return PlaidClient(
                host=base_url.rstrip("/"),
                client_id=client_id,
                secret=secret,
                timeout_s=timeout_s,
                retry=retry,
                limiter=limiter,
            )

        self._client = client(timeout_s)
        self._key_client = client(min(timeout_s, WEBHOOK_KEY_TIMEOUT_S))
        self._verifier = WebhookVerifier(self._fetch_webhook_key)
        self._link_settings = link.LinkSettings(
            client_name=client_name,
            language=language,
            country_codes=tuple(country_codes),
            days_requested=days_requested,
            webhook_url=webhook_url,
            redirect_uri=redirect_uri,
            is_embedded=embedded_script_url is not None,
        )
        self._script_url = embedded_script_url
        if embedded_script_url is not None:
            self.capabilities = replace(self.capabilities, is_linked_on_our_page=True)

    def close(self) -> None:
        """Close all idle connections."""
        self._client.close()
        self._key_client.close()

    def fetch_status(self, credential: SecretStr, *, archive: Archive) -> ProviderStatus:
        """
        Ask how the connection is. Succeeds for a broken one too: look at `error_code`.

        Source: https://plaid.com/docs/api/items/#itemget
        """
        answer = self._client.call(
            "item/get", lambda sdk: sdk.get_item(credential), archive=archive, item=credential
        )
        return to_status(parse_model(PlaidItemAnswer, answer))

    def to_error(self, error_code: str) -> ProviderError:
        """Return the error that an Item's own error code stands for."""
        return error_of_code("item/get", error_code)

    def fetch_accounts(
        self,
        credential: SecretStr,
        *,
        archive: Archive,
        known: Sequence[Account] = (),  # noqa: ARG002 - Plaid tells all of them every time
    ) -> AccountsAnswer:
        """
        Fetch every account with cached balances; free of charge, and complete.

        One account that cannot be read makes the answer incomplete: it is not gone. An Item
        that cannot be read has no status here, and keeps no account from landing.

        Source: https://plaid.com/docs/api/accounts/#accountsget
        """
        answer = self._client.call(
            "accounts/get",
            lambda sdk: sdk.get_accounts(credential),
            archive=archive,
            item=credential,
        )
        parsed = parse_model(PlaidAccountsAnswer, answer)
        rows = Rows.of(answer.raw.operation, [answer.raw.body])
        item_rows = Rows(rows.operation, rows.has_odd_text)
        accounts, balances = to_accounts(parsed.accounts, rows)
        return AccountsAnswer(
            accounts=accounts,
            balances=balances,
            is_complete=not rows.quarantined,
            status=to_item_status(parsed.item, item_rows),
            quarantined=(*rows.quarantined, *item_rows.quarantined),
        )

    def fetch_changes(
        self, credential: SecretStr, *, cursor: str | None, archive: Archive
    ) -> ChangesAnswer:
        """
        Fetch every change since `cursor`, all pages; None asks for the whole history.

        The pages of a whole update are archived together, in order, before a row of them is
        read. Those of a loop that broke are not, because Plaid takes them back; but an
        answer that cannot be read, and so ends the call, is. The rows of an update of many pages
        are left to be read page by page.
        """
        try:
            fetched = self._client.fetch_sync_pages(credential, cursor=cursor, archive=archive)
        except TransientError as error:
            if error.code != _NOT_READY:
                raise
            return nothing_yet(cursor)
        if len(fetched) > HELD_PAGES_MAX:
            return to_long_changes(fetched, cursor_before=cursor)
        rows = Rows.of(SYNC, (answer.body for answer in fetched.answers()))
        changes = to_changes(fetched.read(), rows, cursor_before=cursor)
        return replace(changes, calls_count=fetched.calls_count)

    def to_changes(
        self, answers: Sequence[RawAnswer], *, cursor_before: str | None
    ) -> ChangesAnswer:
        """Translate the archived pages of one update again, in their order. Pure."""
        rows = Rows.of(SYNC, (answer.body for answer in answers))
        return to_changes(parse_pages(answers), rows, cursor_before=cursor_before)

    def fetch_institution(self, external_id: str) -> Institution:
        """
        Fetch one institution.

        Source: https://plaid.com/docs/api/institutions/#institutionsget_by_id
        """
        countries = self._link_settings.country_codes
        answer = self._client.call(
            "institutions/get_by_id",
            lambda sdk: sdk.get_institution(external_id, country_codes=countries),
        )
        return to_institution(parse_model(PlaidInstitutionAnswer, answer).institution)

    def fetch_institutions(self) -> InstitutionsAnswer:
        """
        Fetch every institution of our countries, page by page.

        Source: https://plaid.com/docs/api/institutions/#institutionsget
        """
        return institutions.fetch_institutions(self._client, self._link_settings.country_codes)

    def start_link(self, request: LinkRequest) -> LinkStart:
        """Begin a hosted link, in which Plaid lets the customer choose their bank."""
        return link.start_link(
            self._client,
            self._link_settings,
            customer_reference=request.customer_reference,
            credential=request.renews,
            return_url=request.return_url,
        )

    def to_link_widget(
        self,
        external_state: SecretStr,
        *,
        renews_external_id: str | None,  # noqa: ARG002 - the link's token knows it
    ) -> LinkWidget | None:
        """Return what the page needs to show Plaid Link; None where it is hosted. Pure."""
        if self._script_url is None:
            return None
        return link.to_widget(external_state, script_url=self._script_url)

    def fetch_link_progress(
        self,
        external_state: SecretStr,
        *,
        returned: Mapping[str, str] | None = None,
    ) -> LinkProgress:
        """
        Ask how far the customer has come. After a renewal, ignore the tokens.

        Of a link within our page only the page can tell; a hosted one's return is not trusted.
        """
        if self._script_url is not None and returned is not None:
            return link.to_progress(returned)
        return link.fetch_link_progress(self._client, external_state)

    def complete_link(self, exchange_token: SecretStr) -> LinkedConnection:
        """Exchange a finished link's token for a credential. Works once per token."""
        return link.complete_link(self._client, exchange_token)

    def disconnect(self, credential: SecretStr) -> None:
        """End the consent at Plaid. Succeeds if it is gone already."""
        link.disconnect(self._client, credential)

    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> ProviderEvent:
        """Return the event if, and only if, Plaid sent exactly these bytes recently."""
        return self._verifier.verify(headers, body, now=now)

    def check_health(self) -> None:
        """Ask for one institution: the cheapest call that proves keys and network."""
        countries = self._link_settings.country_codes
        self._client.call(
            "institutions/get",
            lambda sdk: sdk.get_institutions(count=1, country_codes=countries),
        )

    def _fetch_webhook_key(self, key_id: str) -> Mapping[str, Any]:
        answer = self._key_client.call(
            "webhook_verification_key/get", lambda sdk: sdk.get_webhook_key(key_id), retries=False
        )
        key = answer.body.get("key")
        return key if isinstance(key, dict) else {}


def build_plaid(
    settings: Settings,
    *,
    retry: Retry = Retry(),  # noqa: B008 - frozen
    limiter: RateLimiter = UNLIMITED,
) -> PlaidProvider:
    """
    Build Plaid from the settings, without a call.

    Raises:
        SetupError: Plaid is not configured.
    """
    if settings.plaid_client_id is None or settings.plaid_secret is None:
        raise SetupError("Plaid is off: set PLAID_CLIENT_ID and PLAID_SECRET")
    gateway_url = (settings.gateway_url or "").rstrip("/")
    return PlaidProvider(
        client_id=settings.plaid_client_id,
        secret=settings.plaid_secret,
        base_url=settings.plaid_base_url or HOSTS[settings.plaid_env],
        timeout_s=settings.provider_timeout_s,
        country_codes=_split(settings.plaid_country_codes),
        language=settings.plaid_language,
        client_name=settings.plaid_client_name,
        redirect_uri=settings.plaid_redirect_uri,
        webhook_url=f"{gateway_url}/webhooks/plaid" if gateway_url else None,
        days_requested=settings.plaid_days_requested,
        embedded_script_url=(
            (settings.plaid_link_url or link.SCRIPT_URL) if settings.is_plaid_embedded else None
        ),
        retry=retry,
        limiter=limiter,
    )


def _split(codes: str) -> tuple[str, ...]:
    return tuple(code.strip().upper() for code in codes.split(",") if code.strip())
