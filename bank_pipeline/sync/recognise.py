"""Tell which of the accounts that a provider shows are known ones, before rows are written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.account_matching import AskedAccount, match_accounts
from bank_pipeline.providers.answers import AccountsAnswer


@dataclass(frozen=True)
class KnownAccounts:
    """
    The accounts of a connection as last told, and what they may be compared with.

    `closed` are external ids of those that the bank listed no more, `unwanted` of those that a
    person left out.
    """

    accounts: Sequence[Account]
    closed: Collection[str] = ()
    unwanted: Collection[str] = ()
    is_other_provider: bool = False


@dataclass(frozen=True)
class Recognised:
    """
    An answer without the accounts that are not to be read yet.

    `renamed` are known accounts under another id, {old: new}; `asked` those of which a person
    must tell. `is_foreign` says that they look like those of another login.
    """

    answer: AccountsAnswer
    renamed: Mapping[str, str] = field(default_factory=dict)
    asked: tuple[AskedAccount, ...] = ()
    is_foreign: bool = False


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
        unwanted=known.unwanted,
        is_other_provider=known.is_other_provider,
    )
    held_back = matches.questions.keys()
    asked = tuple(AskedAccount(listed[one], names) for one, names in matches.questions.items())
    return Recognised(
        answer=_without(answer, held_back),
        renamed=matches.renamed,
        asked=asked if answer.is_complete else (),
        is_foreign=bool(judged) and matches.is_foreign,
    )


def recognise_part(stored: Collection[str], answer: AccountsAnswer) -> Recognised:
    """
    Keep the accounts of an answer that is not complete which are `stored` under these very ids.

    Any other may be one of them under another id, which only a whole list tells: until then its
    rows are set aside, or they would double. Where nothing is stored, nothing can double.
    """
    if not stored:
        return Recognised(answer)
    listed = {one.external_id for one in answer.accounts}
    return Recognised(_without(answer, listed.difference(stored)))


def _without(answer: AccountsAnswer, names: Collection[str]) -> AccountsAnswer:
    return replace(
        answer,
        accounts=tuple(one for one in answer.accounts if one.external_id not in names),
        balances=tuple(one for one in answer.balances if one.account_external_id not in names),
        troubles={name: error for name, error in answer.troubles.items() if name not in names},
    )
