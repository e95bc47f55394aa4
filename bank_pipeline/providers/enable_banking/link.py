"""
Begin and end a connection: the customer consents at the bank and comes back with a code.

Nothing here is archived: these answers open a connection. What the exchange says of the
accounts comes only now; it is handed on without the session's id.

Source: https://enablebanking.com/docs/api/reference/#start-authorization
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.errors import (
    AccountBlockedError,
    ConfigurationError,
    ProviderError,
    RateLimitedError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import AccountsAnswer
from bank_pipeline.providers.base import LinkedConnection, LinkProgress, LinkRequest, LinkStart
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.enable_banking.accounts import (
    has_uid,
    status_of,
    to_account,
    to_credit_limit,
    to_institution_id,
)
from bank_pipeline.providers.enable_banking.aspsps import Aspsps
from bank_pipeline.providers.enable_banking.client import EnableBankingClient, parse_model
from bank_pipeline.providers.enable_banking.errors import to_word
from bank_pipeline.providers.enable_banking.schemas import (
    EbAccount,
    EbAspsp,
    EbAuthorization,
    EbNewSession,
)
from bank_pipeline.providers.enable_banking.sessions import GONE, Sessions, session_path
from bank_pipeline.providers.exact_json import dump_json, escape_odd
from bank_pipeline.providers.http import NEVER_SENT
from bank_pipeline.providers.rows import Rows

LINK_TTL: Final = timedelta(hours=1)  # nobody stays longer at their bank's consent page
SKEW: Final = timedelta(minutes=1)  # a consent one second too long is refused
VALIDITY_DEFAULT_S: Final = 90 * 24 * 3600  # what every European bank allows
CODE_SPENT: Final = "CODE_SPENT"
"""The exchange's answer is lost, and the code works once: start the link again."""

_CREATE: Final = "sessions/create"
_ENDED: Final = frozenset({*GONE, "HTTP_404"})


@dataclass(frozen=True)
class LinkSettings:
    """Where customers come back to: one address for all, or the gateway's own page."""

    redirect_url: str | None
    gateway_url: str | None

    @property
    def known_url(self) -> str | None:
        """The address that links use unless they name one, None without one."""
        gateway = (self.gateway_url or "").rstrip("/")
        page = f"{gateway}/link/return/enable_banking" if gateway else None
        return self.redirect_url or page

    def return_url(self, asked: str | None) -> str:
        """
        Return the address to come back to.

        Raises:
            SetupError: there is none.
        """
        url = self.redirect_url or asked or self.known_url
        if url is None:
            raise SetupError(
                "Enable Banking needs an address that customers come back to: set "
                "ENABLE_BANKING_REDIRECT_URL to one of the application's allowed URLs, or "
                "BANK_PIPELINE_GATEWAY_URL"
            )
        return url


def start_link(
    client: EnableBankingClient,
    aspsps: Aspsps,
    sessions: Sessions,
    settings: LinkSettings,
    request: LinkRequest,
) -> LinkStart:
    """
    Begin a consent for the bank's longest validity; a renewal is a new one.

    Raises:
        SetupError: no bank was chosen, or one that is not offered, not to this kind of customer,
            or there is no address to come back to.
    """
    bank = _find_bank(aspsps, request.institution_external_id)
    validity = timedelta(seconds=bank.maximum_consent_validity or VALIDITY_DEFAULT_S)
    body = {
        "access": {
            "valid_until": (request.now + validity - SKEW).isoformat(),
            "balances": True,
            "transactions": True,
        },
        "aspsp": {"name": bank.name, "country": bank.country},
        "state": request.state.get_secret_value(),
        "redirect_url": settings.return_url(request.return_url),
        "psu_type": _choose_kind(bank, sessions, request),
        "psu_id": request.customer_reference,
    }
    try:
        answer = client.call("auth", "POST", "/auth", json=body)
    except ConfigurationError as error:
        if error.code != "WRONG_ASPSP_PROVIDED":
            raise
        aspsps.forget()  # renamed since we looked
        raise _not_offered(request.institution_external_id) from error
    return LinkStart(
        url=parse_model(EbAuthorization, answer).url,
        external_state=request.state,
        expires_at=request.now + LINK_TTL,
    )


def to_progress(external_state: SecretStr, returned: Mapping[str, str] | None) -> LinkProgress:
    """
    Read what came back with the customer; nothing else can be asked.

    Only the one who was sent away knows the state: what comes without it says nothing. Pure.
    """
    stated = (returned or {}).get("state", "").encode()
    if returned is None or not hmac.compare_digest(
        stated, external_state.get_secret_value().encode()
    ):
        return LinkProgress(is_finished=False)
    if returned.get("error"):
        return LinkProgress(is_finished=True, exit_reason=to_word(returned["error"]) or "EXITED")
    if code := returned.get("code"):
        return LinkProgress(is_finished=True, exchange_tokens=(SecretStr(code),))
    return LinkProgress(is_finished=False)


def complete_link(client: EnableBankingClient, code: SecretStr) -> LinkedConnection:
    """
    Exchange the code for a session, once, and read the accounts, which are told only now.

    The session is handed over whatever can be read of the rest: nobody gets it twice.

    Raises:
        ConfigurationError: the code is spent or wrong. The link has to be started again.

    Source: https://enablebanking.com/docs/api/reference/#authorize-session
    """
    answer = _exchange(client, code)
    session = parse_model(EbNewSession, answer)
    bank = session.aspsp
    accounts = _to_accounts(answer, session)
    status = accounts.status
    without_id = {key: answer.body[key] for key in answer.body if key != "session_id"}
    return LinkedConnection(
        external_id=session.session_id,
        credential=SecretStr(session.session_id),
        institution_external_id=to_institution_id(bank) if bank else None,
        institution_name=bank.name if bank else None,
        consent_expires_at=status.consent_expires_at if status else None,
        accounts=accounts,
        raw=calls.to_raw(_CREATE, dump_json(without_id).encode()),
    )


def disconnect(client: EnableBankingClient, credential: SecretStr) -> None:
    """
    End the session, and the consent at the bank where that is possible; succeed if it is gone.

    Source: https://enablebanking.com/docs/api/reference/#delete-session
    """
    try:
        client.call("sessions/delete", "DELETE", session_path(credential))
    except ProviderError as error:
        if error.code not in _ENDED:
            raise


def read_accounts(
    raws: list[Any], rows: Rows, *, psu_type: str | None
) -> tuple[tuple[Account, ...], tuple[Balance, ...]]:
    """Read accounts as the exchange and the details tell them, and their credit limits."""

    def transform(raw: EbAccount, _: Mapping[str, Any]) -> tuple[Account, tuple[Balance, ...]]:
        account = to_account(raw, psu_type=psu_type)
        return account, to_credit_limit(raw, account)

    read = [rows.read(raw, EbAccount, transform, id_key="uid") for raw in raws]
    found = [pair for pair in read if pair is not None]
    accounts = tuple({account.external_id: account for account, _ in found}.values())
    return accounts, tuple(limit for _, limits in found for limit in limits)


def blocked() -> AccountBlockedError:
    """Return why an account without a uid is not to be asked for."""
    return AccountBlockedError(Provider.ENABLE_BANKING, "accounts", code="ACCOUNT_WITHOUT_UID")


def _find_bank(aspsps: Aspsps, external_id: str | None) -> EbAspsp:
    if not external_id:
        raise SetupError(
            "Enable Banking needs the bank first: find its id with "
            "`bank-pipeline institutions search`, such as FI:Nordea"
        )
    bank = aspsps.find(external_id)
    if bank is None:  # the list may be a day old
        aspsps.forget()
        bank = aspsps.find(external_id)
    if bank is None:
        raise _not_offered(external_id)
    return bank


def _choose_kind(bank: EbAspsp, sessions: Sessions, request: LinkRequest) -> str:
    """Return whose login is asked for: as was said, or as before, or else a person's."""
    offered = bank.psu_types or [CustomerKind.PERSONAL]
    asked: str | None = request.customer_kind
    if asked is not None and asked not in offered:
        only = " and ".join(offered)
        raise SetupError(f"Enable Banking offers {escape_odd(bank.name)} for {only} logins only")
    if asked is None and request.renews is not None and len(offered) > 1:
        asked = sessions.kind_of(request.renews)
    if asked in offered:
        return asked
    return CustomerKind.PERSONAL if CustomerKind.PERSONAL in offered else offered[0]


def _not_offered(external_id: str | None) -> SetupError:
    return SetupError(
        f"Enable Banking offers no bank {escape_odd(external_id or '')!r}, and banks do change "
        "their names: find the new one with `bank-pipeline institutions search`, and name it with "
        "--institution, when renewing, too"
    )


def _exchange(client: EnableBankingClient, code: SecretStr) -> JsonAnswer:
    body = {"code": code.get_secret_value()}
    try:
        answer = client.call(_CREATE, "POST", "/sessions", json=body, retries=False)
    except RateLimitedError:
        raise
    except TransientError as error:
        if error.code in NEVER_SENT:
            raise
        # It may have arrived, and a second try could only hide the outcome of the first.
        raise ConfigurationError(Provider.ENABLE_BANKING, _CREATE, code=CODE_SPENT) from error
    return answer


def _to_accounts(answer: JsonAnswer, session: EbNewSession) -> AccountsAnswer:
    rows = Rows.of(_CREATE, [answer.raw.body])
    accounts, limits = read_accounts(session.accounts or [], rows, psu_type=session.psu_type)
    return AccountsAnswer(
        accounts=accounts,
        balances=limits,
        is_complete=session.accounts is not None and not rows.quarantined,
        status=status_of(session.aspsp, session.access, error_code=None),
        quarantined=tuple(rows.quarantined),
        troubles={one.external_id: blocked() for one in accounts if not has_uid(one)},
    )
