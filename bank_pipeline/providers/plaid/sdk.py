"""
Typed requests through plaid-python, which builds and sends; the answers come back raw.

Importing this module costs 0.2 s and 30 MB (682 generated modules), so only `client.py`
does, on its first call.
"""

from collections.abc import Sequence
from typing import Any, cast

import plaid
from plaid.api.plaid_api import PlaidApi
from plaid.model.accounts_get_request import AccountsGetRequest
from plaid.model.country_code import CountryCode
from plaid.model.institutions_get_by_id_request import InstitutionsGetByIdRequest
from plaid.model.institutions_get_request import InstitutionsGetRequest
from plaid.model.item_get_request import ItemGetRequest
from plaid.model.item_public_token_exchange_request import ItemPublicTokenExchangeRequest
from plaid.model.item_remove_request import ItemRemoveRequest
from plaid.model.link_token_create_hosted_link import LinkTokenCreateHostedLink
from plaid.model.link_token_create_request import LinkTokenCreateRequest
from plaid.model.link_token_create_request_update import LinkTokenCreateRequestUpdate
from plaid.model.link_token_create_request_user import LinkTokenCreateRequestUser
from plaid.model.link_token_get_request import LinkTokenGetRequest
from plaid.model.link_token_transactions import LinkTokenTransactions
from plaid.model.personal_finance_category_version import PersonalFinanceCategoryVersion
from plaid.model.products import Products
from plaid.model.transactions_sync_request import TransactionsSyncRequest
from plaid.model.transactions_sync_request_options import TransactionsSyncRequestOptions
from plaid.model.webhook_verification_key_get_request import WebhookVerificationKeyGetRequest
from pydantic import SecretStr

from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.plaid.transport import RawTransport

PAGE_ROWS = 500  # Plaid's most: fewest calls, and fewest chances for the feed to move


class PlaidSdk:
    """One method per endpoint we use. Every argument is sent as given; None is left out."""

    def __init__(
        self, *, host: str, client_id: str, secret: SecretStr, timeout_s: tuple[float, float]
    ) -> None:
        keys = {"clientId": client_id, "secret": secret.get_secret_value()}
        api_client = plaid.ApiClient(plaid.Configuration(host=host, api_key=keys))
        self._transport = RawTransport(api_client.rest_client.pool_manager)
        api_client.rest_client = self._transport
        self._api = PlaidApi(api_client)
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Close all idle connections."""
        self._transport.close()

    def sync_transactions(self, access_token: SecretStr, *, cursor: str | None) -> HttpAnswer:
        """
        Ask for one page of changes; no cursor means from the beginning.

        Source: https://plaid.com/docs/api/products/transactions/#transactionssync
        """
        options = TransactionsSyncRequestOptions(
            include_original_description=True,
            personal_finance_category_version=PersonalFinanceCategoryVersion("v2"),
        )
        request = TransactionsSyncRequest(
            access_token=access_token.get_secret_value(),
            count=PAGE_ROWS,
            options=options,
            **({"cursor": cursor} if cursor else {}),
        )
        return self._send(self._api.transactions_sync, request)

    def get_accounts(self, access_token: SecretStr) -> HttpAnswer:
        """Ask for all accounts with cached balances, which is free."""
        request = AccountsGetRequest(access_token=access_token.get_secret_value())
        return self._send(self._api.accounts_get, request)

    def get_item(self, access_token: SecretStr) -> HttpAnswer:
        """Ask how the Item is."""
        request = ItemGetRequest(access_token=access_token.get_secret_value())
        return self._send(self._api.item_get, request)

    def remove_item(self, access_token: SecretStr) -> HttpAnswer:
        """End the Item, its token and its bill."""
        request = ItemRemoveRequest(access_token=access_token.get_secret_value())
        return self._send(self._api.item_remove, request)

    def exchange_public_token(self, public_token: SecretStr) -> HttpAnswer:
        """Turn a single-use token into an access token."""
        request = ItemPublicTokenExchangeRequest(public_token=public_token.get_secret_value())
        return self._send(self._api.item_public_token_exchange, request)

    def get_institution(self, institution_id: str, *, country_codes: Sequence[str]) -> HttpAnswer:
        """Ask for one institution."""
        request = InstitutionsGetByIdRequest(
            institution_id=institution_id, country_codes=_countries(country_codes)
        )
        return self._send(self._api.institutions_get_by_id, request)

    def get_institutions(
        self, *, count: int, country_codes: Sequence[str], offset: int = 0
    ) -> HttpAnswer:
        """Ask for `count` institutions after the first `offset`."""
        request = InstitutionsGetRequest(
            count=count, offset=offset, country_codes=_countries(country_codes)
        )
        return self._send(self._api.institutions_get, request)

    def get_webhook_key(self, key_id: str) -> HttpAnswer:
        """Ask for the public key that a webhook says it is signed with."""
        request = WebhookVerificationKeyGetRequest(key_id=key_id)
        return self._send(self._api.webhook_verification_key_get, request)

    def create_link_token(  # noqa: PLR0913 - Plaid's own arguments, all by name
        self,
        *,
        client_name: str,
        language: str,
        country_codes: Sequence[str],
        client_user_id: str,
        access_token: SecretStr | None,
        days_requested: int,
        webhook_url: str | None,
        redirect_uri: str | None,
        completion_redirect_uri: str | None,
        is_hosted: bool = True,
    ) -> HttpAnswer:
        """
        Ask for a link: on Plaid's page, or else within one of ours.

        With an access token it is update mode, where products, history and webhook are not
        sent: they were fixed when the Item was made. There the customer chooses anew which
        accounts they share, as they always do at banks with OAuth: an account that they opened
        since could not be shared else. Banks of Europe take no notice of it.

        Source: https://plaid.com/docs/link/update-mode/
        """
        completion = {"completion_redirect_uri": completion_redirect_uri}
        fields: dict[str, Any] = {
            "client_name": client_name,
            "language": language,
            "country_codes": _countries(country_codes),
            "user": LinkTokenCreateRequestUser(client_user_id=client_user_id),
            **_given({"redirect_uri": redirect_uri}),
        }
        if is_hosted:
            fields["hosted_link"] = LinkTokenCreateHostedLink(**_given(completion))
        if access_token is not None:
            fields["access_token"] = access_token.get_secret_value()
            fields["update"] = LinkTokenCreateRequestUpdate(account_selection_enabled=True)
        else:
            fields["products"] = [Products("transactions")]
            fields["transactions"] = LinkTokenTransactions(days_requested=days_requested)
            fields |= _given({"webhook": webhook_url})
        return self._send(self._api.link_token_create, LinkTokenCreateRequest(**fields))

    def get_link_token(self, link_token: SecretStr) -> HttpAnswer:
        """Ask how far a link has come."""
        request = LinkTokenGetRequest(link_token=link_token.get_secret_value())
        return self._send(self._api.link_token_get, request)

    def _send(self, endpoint: Any, request: Any) -> HttpAnswer:  # noqa: ANN401 - untyped SDK
        answer = endpoint(request, _preload_content=False, _request_timeout=self._timeout_s)
        return cast("HttpAnswer", answer)


def _countries(codes: Sequence[str]) -> list[Any]:
    return [CountryCode(code) for code in codes]


def _given(fields: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}
