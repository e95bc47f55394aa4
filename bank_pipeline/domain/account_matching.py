"""
Which accounts of a new consent are those we know. Pure.

Every pair of a known and a fresh account is judged by the strongest key that both have. Then
all pairs are looked at together: a pair is certain when each is the other's only best. That is
one-to-one and does not depend on any order. What is left is a person's to decide, or new.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bank_pipeline.domain.account import Account, AccountType


class Evidence(IntEnum):
    """By what a pair of accounts is taken for one, the weakest first."""

    NAME = 1
    MASKED_NUMBER = 2
    BBAN = 3
    IBAN = 4
    RESOURCE = 5
    HASH = 6
    SAME_ID = 7

    @property
    def is_strong(self) -> bool:
        """Say whether it names one account of the whole world."""
        return self >= Evidence.BBAN

    @property
    def is_of_any_bank(self) -> bool:
        """Say whether it does so among the accounts of all banks; others count within theirs."""
        return self in (Evidence.IBAN, Evidence.HASH)


@dataclass(frozen=True)
class AccountMatches:
    """
    What became of the fresh accounts, all by external id; each is in one of the three.

    `same` are those that are known for certain: {fresh: known}, and `evidence` says by what.
    `questions` could be one of the known ones, which a person must tell. `new` are no known one.
    `strangers` are those of the last two that have a strong key of their own and are like none of
    ours that is left; `missing` are ours that are wanted, and that nothing shown is like.
    """

    same: Mapping[str, str]
    evidence: Mapping[str, Evidence]
    questions: Mapping[str, tuple[str, ...]]
    new: frozenset[str]
    strangers: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    @property
    def renamed(self) -> dict[str, str]:
        """Return the known accounts that go by another id now: {old: new}."""
        return {old: new for new, old in self.same.items() if old != new}

    @property
    def is_foreign(self) -> bool:
        """
        Say whether the fresh accounts look like those of another login.

        Some are none of ours, and of ours no more are there than are not: a joint account is shown
        to each of its owners, and says nothing of whose the others are. But who closes one account
        of many and opens another is still the same.
        """
        if not self.same:
            return bool(self.new)
        return bool(self.strangers) and len(self.missing) >= len(self.same)

    @property
    def is_strong(self) -> bool:
        """Say whether any account is known by a key that names one account of the world."""
        return any(one.is_strong for one in self.evidence.values())

    @property
    def is_of_any_bank(self) -> bool:
        """Say whether any account is known by a key that no other bank gives to another one."""
        return any(one.is_of_any_bank for one in self.evidence.values())


@dataclass(frozen=True)
class AskedAccount:
    """An account that a bank shows, and the external ids of those that it could be."""

    account: Account
    candidates: tuple[str, ...]


def match_accounts(
    known: Sequence[Account],
    fresh: Sequence[Account],
    *,
    closed: Collection[str] = (),
    unwanted: Collection[str] = (),
    is_other_provider: bool = False,
) -> AccountMatches:
    """
    Tell which of the `fresh` accounts are known ones.

    `closed` are external ids of known accounts that a question is asked about only where something
    speaks for them: of two alike that both come back nobody can tell which is which. `unwanted`
    are those that a person left out: where one is not shown, nothing is missing.
    `is_other_provider`: the two speak of different providers, whose ids, hashes and domestic
    numbers are written each in its own way: that they differ says nothing.
    """
    known_ids = {account.external_id for account in known}
    same = (
        {}
        if is_other_provider
        else {one.external_id: one.external_id for one in fresh if one.external_id in known_ids}
    )
    evidence = dict.fromkeys(same, Evidence.SAME_ID)
    left = [one for one in known if one.external_id not in same]
    new = {one.external_id: one for one in fresh if one.external_id not in same}
    scores = _to_scores(left, new.values(), is_other_provider=is_other_provider)
    for name, other, tier in _certain(scores, has_company=bool(same), closed=closed):
        same[name] = other
        evidence[name] = tier
    free = [one for one in left if one.external_id not in {*same.values()}]
    unknown = {name: one for name, one in new.items() if name not in same}
    could_be = {
        name: [
            other.external_id
            for other in free
            if (name, other.external_id) in scores
            or (
                other.external_id not in closed
                and not _is_excluded(other, one, is_other_provider=is_other_provider)
            )
        ]
        for name, one in unknown.items()
    }
    alike = _to_alike(free, unknown, could_be, scores)
    strangers = {
        name
        for name in unknown.keys() - {one for one, _ in alike}
        if _is_told_apart(unknown[name], known, is_other_provider=is_other_provider)
    }
    expected = {one.external_id for one in free} - {*closed, *unwanted}
    questions = {name: tuple(sorted(others)) for name, others in could_be.items() if others}
    return AccountMatches(
        same,
        evidence,
        questions,
        new=frozenset(unknown.keys() - questions.keys()),
        strangers=frozenset(strangers),
        missing=frozenset(expected - {other for _, other in alike}),
    )


def strong_keys(account: Account) -> frozenset[str]:
    """Return what names an account in the whole world, each with the kind of it in front."""
    return frozenset(
        f"{tier.name.lower()}:{value}"
        for tier, values in _keys_of(account).items()
        for value in values
    )


_Score = tuple[Evidence, bool, bool, bool]
"""The key that both share; then type, masked number and name, for those that share it."""


def _to_scores(
    known: Iterable[Account], fresh: Iterable[Account], *, is_other_provider: bool
) -> dict[tuple[str, str], _Score]:
    known = list(known)
    return {
        (one.external_id, other.external_id): score
        for one in fresh
        for other in known
        if (score := _to_score(other, one, is_other_provider=is_other_provider)) is not None
    }


def _certain(
    scores: Mapping[tuple[str, str], _Score], *, has_company: bool, closed: Collection[str]
) -> list[tuple[str, str, Evidence]]:
    """
    Return the pairs in which each is the other's only best, and then what those leave.

    A name alone is no proof: it counts in the company of an account that is known better, and
    never for a closed account: banks give many the same name, one after the other.
    """
    found: list[tuple[str, str, Evidence]] = []
    left = dict(scores)
    while True:
        usable = {
            pair: score for pair, score in left.items() if has_company or score[0] > Evidence.NAME
        }
        best = _only_best(usable, 0), _only_best(usable, 1)
        certain = [
            pair
            for pair, score in usable.items()
            if best[0].get(pair[0]) == best[1].get(pair[1]) == pair
            and (score[0] > Evidence.NAME or pair[1] not in closed)
        ]
        if not certain:
            return found
        has_company = True
        found += [(one, other, left[one, other][0]) for one, other in certain]
        taken = {one for one, _ in certain}, {other for _, other in certain}
        left = {
            pair: score
            for pair, score in left.items()
            if pair[0] not in taken[0] and pair[1] not in taken[1]
        }


def _only_best(
    scores: Mapping[tuple[str, str], _Score], side: int
) -> dict[str, tuple[str, str] | None]:
    """Return each account's best pair; None where two are equally good."""
    by_account: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in scores:
        by_account[pair[side]].append(pair)
    best: dict[str, tuple[str, str] | None] = {}
    for account, pairs in by_account.items():
        highest = max(scores[pair] for pair in pairs)
        at_top = [pair for pair in pairs if scores[pair] == highest]
        best[account] = at_top[0] if len(at_top) == 1 else None
    return best


def _to_score(known: Account, fresh: Account, *, is_other_provider: bool) -> _Score | None:
    if _is_excluded(known, fresh, is_other_provider=is_other_provider):
        return None
    tier = _strongest(known, fresh, is_other_provider=is_other_provider)
    masks = (known.identifiers.masked_number, fresh.identifiers.masked_number)
    is_type, is_mask = known.type is fresh.type, _share_digits(known, fresh)
    is_name = bool(known.name.strip()) and _fold(known.name) == _fold(fresh.name)
    if tier is not None:
        return (tier, is_type, is_mask, is_name)
    if is_mask and is_type:
        return (Evidence.MASKED_NUMBER, is_type, is_mask, is_name)
    if is_name and is_type and None in masks:
        return (Evidence.NAME, is_type, is_mask, is_name)
    return None


def _share_digits(known: Account, fresh: Account) -> bool:
    """Say whether both show the same last digits; of a number that is told whole, its own."""
    masks = (known.identifiers.masked_number, fresh.identifiers.masked_number)
    if None in masks:
        masks = (known.identifiers.last_four, fresh.identifiers.last_four)
    return masks[0] is not None and masks[0] == masks[1]


def _is_excluded(known: Account, fresh: Account, *, is_other_provider: bool) -> bool:
    """Say whether currencies, or the strongest key that both have, say that they are two."""
    currencies = {one.currency or one.unofficial_currency for one in (known, fresh)} - {None}
    if len(currencies) > 1:
        return True
    keys = _to_keys(known, fresh, is_other_provider=is_other_provider)
    return bool(keys) and not next(iter(keys.values()))


def _to_alike(
    known: Iterable[Account],
    fresh: Mapping[str, Account],
    could_be: Mapping[str, Collection[str]],
    scores: Collection[tuple[str, str]],
) -> set[tuple[str, str]]:
    """Return the pairs that could be one and of which something says so, however little."""
    by_id = {account.external_id: account for account in known}
    return {
        (name, other)
        for name, others in could_be.items()
        for other in others
        if (name, other) in scores or _is_alike(by_id[other], fresh[name])
    }


def _is_alike(known: Account, fresh: Account) -> bool:
    """Say whether anything a bank shows of them goes together; it may not tell the type."""
    masks = (known.identifiers.masked_number, fresh.identifiers.masked_number)
    return (
        known.type is fresh.type
        or AccountType.OTHER in (known.type, fresh.type)
        or (masks[0] is not None and masks[0] == masks[1])
        or _fold(known.name) == _fold(fresh.name)
    )


def _is_told_apart(fresh: Account, known: Iterable[Account], *, is_other_provider: bool) -> bool:
    """Say whether a strong key of it is one that ours have, too, and is none of theirs."""
    keys = [_to_keys(one, fresh, is_other_provider=is_other_provider) for one in known]
    return any(keys) and not any(any(one.values()) for one in keys)


def _strongest(known: Account, fresh: Account, *, is_other_provider: bool) -> Evidence | None:
    keys = _to_keys(known, fresh, is_other_provider=is_other_provider)
    return next((tier for tier, is_shared in keys.items() if is_shared), None)


def _to_keys(known: Account, fresh: Account, *, is_other_provider: bool) -> dict[Evidence, bool]:
    """Return the strong keys that both have, the strongest first, and whether they share one."""
    ours, theirs = _keys_of(known), _keys_of(fresh)
    keys = {
        tier: bool(ours[tier] & theirs[tier])
        for tier in _STRONGEST_FIRST
        if ours[tier] and theirs[tier]
    }
    if not is_other_provider:
        return keys
    return {
        tier: is_shared for tier, is_shared in keys.items() if tier is Evidence.IBAN or is_shared
    }


def _keys_of(account: Account) -> dict[Evidence, set[str]]:
    keys: dict[Evidence, set[str]] = {tier: set() for tier in _STRONGEST_FIRST}
    for stable in account.stable_external_ids:
        scheme, _, value = stable.partition(":")
        tier = _SCHEMES.get(scheme) if value else None
        keys[tier or Evidence.HASH].add(value if tier else stable)
    for tier, number in (
        (Evidence.IBAN, account.identifiers.iban),
        (Evidence.BBAN, account.identifiers.bban),
    ):
        if number:
            keys[tier].add("".join(number.split()).upper())
    return keys


_STRONGEST_FIRST: Final = (Evidence.HASH, Evidence.RESOURCE, Evidence.IBAN, Evidence.BBAN)
_SCHEMES: Final = {
    "iban": Evidence.IBAN,
    "bban": Evidence.BBAN,
    "resource": Evidence.RESOURCE,
}


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())
