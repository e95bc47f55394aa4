"""Tell which of the accounts that a provider shows are known ones, before anything is read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.account_matching import AskedAccount, match_accounts
from bank_pipeline.providers.answers import AccountsAnswer
from bank_pipeline.sync.fetch import Fetched


@dataclass(frozen=True)
class KnownAccounts:
    """
    The accounts of a connection as last told, and what they may be compared with.

    `closed` are external ids of those that the bank listed no more.
    """

    accounts: Sequence[Account]
    closed: Collection[str] = ()
    is_other_provider: bool = False


@dataclass(frozen=True)
class Recognised:
    """
    An answer without the accounts that are not to be read yet.

    `renamed` are known accounts under another id, {old: new}; `asked` those of which a person
    must tell. `is_foreign` says that they look like those of another login.
    """

    answer: AccountsAnswer
    renamed: dict[str, str]
    asked: tuple[AskedAccount, ...]
    is_foreign: bool


def recognise(known: KnownAccounts, answer: AccountsAnswer) -> Recognised:
    """
    Match the accounts of an answer with the known ones.

    One that may be a known one is left out until it is certain: its rows would double. Of an
    answer that is not complete nothing is asked: the account that it is may still come.
    """
    listed = {one.external_id: one for one in answer.accounts}
    judged = [
        one
        for one in known.accounts
        if one.external_id in listed or one.external_id not in answer.troubles
    ]
    matches = match_accounts(
        judged,
        [*listed.values()],
        closed=known.closed,
        is_other_provider=known.is_other_provider,
    )
    held_back = matches.questions.keys()
    asked = tuple(AskedAccount(listed[one], names) for one, names in matches.questions.items())
    return Recognised(
        answer=replace(
            answer,
            accounts=tuple(one for one in answer.accounts if one.external_id not in held_back),
            balances=tuple(
                one for one in answer.balances if one.account_external_id not in held_back
            ),
            troubles={
                name: error for name, error in answer.troubles.items() if name not in held_back
            },
        ),
        renamed=matches.renamed,
        asked=asked if answer.is_complete else (),
        is_foreign=bool(judged) and matches.is_foreign,
    )


def recognise_fetched(known: KnownAccounts, fetched: Fetched) -> Fetched:
    """Recognise the accounts of a whole list; the rows of those left out are set aside."""
    found = recognise(known, fetched.accounts)
    return replace(
        fetched,
        accounts=found.answer,
        renamed_accounts=found.renamed,
        asked=found.asked,
        is_foreign=found.is_foreign,
    )
