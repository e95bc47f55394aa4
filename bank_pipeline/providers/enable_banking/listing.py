"""The accounts of a session: those told at the link, as far as it still shares them."""

from collections.abc import Sequence

from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.errors import (
    AccountBlockedError,
    AccountGoneError,
    ProviderError,
    TransientError,
)
from bank_pipeline.providers.answers import AccountsAnswer, Archive
from bank_pipeline.providers.enable_banking.accounts import (
    AUTHORIZED,
    account_path,
    has_uid,
    to_hashes,
    to_minimal_account,
    to_shared,
    to_status,
)
from bank_pipeline.providers.enable_banking.client import EnableBankingClient
from bank_pipeline.providers.enable_banking.errors import SESSION_CODES
from bank_pipeline.providers.enable_banking.link import blocked, read_accounts
from bank_pipeline.providers.enable_banking.schemas import EbSession, EbSessionAccount
from bank_pipeline.providers.enable_banking.sessions import Sessions
from bank_pipeline.providers.metering import Subject
from bank_pipeline.providers.rows import Rows

_DETAILS = "accounts/details"


def fetch_accounts(
    client: EnableBankingClient,
    sessions: Sessions,
    credential: SecretStr,
    *,
    archive: Archive,
    known: Sequence[Account],
) -> AccountsAnswer:
    """
    Return the `known` accounts that the session still shares, as they were told.

    A session names no more than their ids. Only an account that is not known, as after a
    link that was cut off, is asked for. Of a session that is not usable, or does not say what
    it shares, nothing is gone: the answer is not complete then.

    Source: https://enablebanking.com/docs/api/reference/#get-session
    """
    session = sessions.fetch(credential, archive=archive)
    status = to_status(session)
    if session.status.upper() != AUTHORIZED or session.accounts is None:
        return AccountsAnswer(tuple(known), (), is_complete=False, status=status)
    shared = to_shared(session)
    missing = shared.keys() - {one.external_id for one in known}
    unblocked = {one for uid in missing for one in to_hashes(shared[uid])}
    kept = [
        one
        for one in known
        if one.external_id in shared
        or (not has_uid(one) and unblocked.isdisjoint(one.stable_external_ids))
    ]
    answers = [
        _fetch_details(client, shared[uid], session, archive) for uid in shared if uid in missing
    ]
    troubles: dict[str, ProviderError] = {
        one.external_id: blocked() for one in kept if not has_uid(one)
    }
    for answer in answers:
        troubles |= answer.troubles
    return AccountsAnswer(
        accounts=(*kept, *(one for answer in answers for one in answer.accounts)),
        balances=tuple(one for answer in answers for one in answer.balances),
        is_complete=all(answer.is_complete for answer in answers),
        status=status,
        quarantined=tuple(row for answer in answers for row in answer.quarantined),
        troubles=troubles,
        calls_count=1 + len(answers),
    )


def _fetch_details(
    client: EnableBankingClient, shared: EbSessionAccount, session: EbSession, archive: Archive
) -> AccountsAnswer:
    """
    Ask for an account that nobody told us of; without success it is left for later.

    Source: https://enablebanking.com/docs/api/reference/#get-account-details
    """
    try:
        answer = client.call(
            _DETAILS,
            "GET",
            f"{account_path(shared.uid)}/details",
            archive=archive,
            subject=Subject(shared.uid),
        )
    except (AccountGoneError, AccountBlockedError) as error:
        account = to_minimal_account(shared)
        troubles = {account.external_id: error}
        return AccountsAnswer((account,), (), is_complete=True, status=None, troubles=troubles)
    except ProviderError as error:
        # Of the session it is known better: it has just said that it is usable.
        if not isinstance(error, TransientError) and error.code not in SESSION_CODES:
            raise
        return AccountsAnswer((), (), is_complete=False, status=None)
    body = answer.body
    raw = {**body, "uid": shared.uid} if isinstance(body, dict) else body
    rows = Rows.of(_DETAILS, [answer.raw.body])
    accounts, limits = read_accounts([raw], rows, psu_type=session.psu_type)
    return AccountsAnswer(
        accounts,
        limits,
        is_complete=not rows.quarantined,
        status=None,
        quarantined=tuple(rows.quarantined),
    )
