"""Accounts of a new consent: known for certain, a question, or new; never two at once."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.account_matching import Evidence, match_accounts
from bank_pipeline_tests.builders import account


def named(external_id: str, *stable: str, **more: Any) -> Account:
    return account(1, external_id=external_id, stable_external_ids=stable, **more)


def plain(
    external_id: str, *, iban: str | None = None, mask: str | None = None, **more: Any
) -> Account:
    identifiers = AccountIdentifiers(iban=iban, masked_number=mask)
    return account(1, external_id=external_id, identifiers=identifiers, **more)


def test_an_account_is_recognised_by_a_stable_id_under_its_new_name() -> None:
    known = [named("old-1", "iban:DE1", "bban:1"), named("old-2", "iban:DE2")]
    fresh = [named("new-2", "iban:DE2"), named("new-1", "bban:1", "hash-x")]
    assert match_accounts(known, fresh).same == {"new-2": "old-2", "new-1": "old-1"}


def test_currencies_of_one_iban_are_different_accounts() -> None:
    known = [named("old-eur", "iban:1", currency="EUR"), named("old-usd", "iban:1", currency="USD")]
    fresh = [named("new-usd", "iban:1", currency="USD"), named("new-eur", "iban:1", currency="EUR")]
    assert match_accounts(known, fresh).same == {"new-usd": "old-usd", "new-eur": "old-eur"}


def test_where_two_could_be_meant_a_person_is_asked() -> None:
    known = [named("old-1", "iban:1", currency=None), named("old-2", "iban:1", currency="EUR")]
    matches = match_accounts(known, [named("new", "iban:1", currency="EUR")])
    assert matches.same == {}
    assert matches.questions == {"new": ("old-1", "old-2")}


def test_a_card_of_the_same_iban_is_told_from_its_account_by_the_type() -> None:
    known = [plain("a", iban="DE1"), plain("b", iban="DE1", type=AccountType.CREDIT_CARD)]
    fresh = [plain("y", iban="DE1", type=AccountType.CREDIT_CARD), plain("x", iban="DE1")]
    assert match_accounts(known, fresh).same == {"x": "a", "y": "b"}


def test_the_same_id_is_the_same_account_whatever_else_it_says() -> None:
    known = [named("a", "iban:1"), named("b", "iban:2")]
    assert match_accounts(known, [named("a", "iban:2")]).same == {"a": "a"}


def test_ids_of_another_provider_say_nothing() -> None:
    matches = match_accounts(
        [plain("a", iban="DE1")], [plain("a", iban="DE2")], is_other_provider=True
    )
    assert (dict(matches.same), set(matches.new)) == ({}, {"a"})


def test_a_conflicting_strong_key_forbids_every_weaker_match() -> None:
    known = [named("old", "iban:1", name="Giro", identifiers=AccountIdentifiers(masked_number="9"))]
    fresh = [named("new", "iban:2", name="Giro", identifiers=AccountIdentifiers(masked_number="9"))]
    matches = match_accounts(known, fresh)
    assert (len(matches.same), len(matches.questions), set(matches.new)) == (0, 0, {"new"})
    assert matches.is_foreign


def test_a_shared_hash_outweighs_an_iban_that_differs() -> None:
    """The strongest key that both have decides."""
    known = [named("old", "hash-1", identifiers=AccountIdentifiers(iban="DE1"))]
    fresh = [named("new", "hash-1", identifiers=AccountIdentifiers(iban="DE2"))]
    assert match_accounts(known, fresh).evidence == {"new": Evidence.HASH}


def test_the_masked_number_counts_with_its_type_only() -> None:
    known = [plain("old", mask="1234")]
    assert match_accounts(known, [plain("new", mask="1234")]).same == {"new": "old"}
    card = plain("card", mask="1234", type=AccountType.CREDIT_CARD)
    assert match_accounts(known, [card]).questions == {"card": ("old",)}


def test_a_name_alone_is_no_proof_but_counts_in_company() -> None:
    known = [plain("a", name="Tagesgeld"), plain("b", iban="DE1", name="Giro")]
    alone = match_accounts(known[:1], [plain("x", name="Tagesgeld")])
    assert (dict(alone.same), dict(alone.questions)) == ({}, {"x": ("a",)})
    fresh = [plain("x", name=" tagesgeld"), plain("y", iban="DE1", name="Konto")]
    assert match_accounts(known, fresh).same == {"x": "a", "y": "b"}


def test_closed_accounts_are_recognised_and_never_asked_about() -> None:
    known = [plain("old", iban="DE1"), plain("gone", name="Card")]
    matches = match_accounts(known, [plain("x", iban="DE1"), plain("y")], closed={"old", "gone"})
    assert (dict(matches.same), set(matches.new)) == ({"x": "old"}, {"y"})


@pytest.mark.parametrize("closed", [{"card-2"}, {"card-1", "card-2"}], ids=["one", "both"])
def test_of_two_alike_a_closed_one_may_be_meant_as_well(closed: set[str]) -> None:
    """One renewal left it out, the next one shows both: taken for new, all rows would double."""
    card = AccountType.CREDIT_CARD
    known = [plain(name, mask="1234", type=card) for name in ("card-1", "card-2")]
    fresh = [plain(name, mask="1234", type=card) for name in ("card-a", "card-b")]
    both = ("card-1", "card-2")
    matches = match_accounts(known, fresh, closed=closed)
    assert matches.questions == {"card-a": both, "card-b": both}


def test_a_name_alone_never_reopens_a_closed_account() -> None:
    """It may be the next one that the bank calls so: a person is asked, in whatever company."""
    known = [plain("giro", iban="DE1"), plain("gone", name="Certificate")]
    fresh = [plain("x", iban="DE1"), plain("y", name="Certificate")]
    matches = match_accounts(known, fresh, closed={"gone"})
    assert (dict(matches.same), dict(matches.questions)) == ({"x": "giro"}, {"y": ("gone",)})


def told_by_its_bank(name: str, type_: AccountType) -> Account:
    """Return an account as a bank of Europe tells it: each kind by another key."""
    scheme = {AccountType.CHECKING: "iban", AccountType.CREDIT_CARD: "resource"}.get(type_, "bban")
    return account(
        1,
        external_id=name,
        stable_external_ids=(f"{scheme}:{name}",),
        identifiers=AccountIdentifiers(),
        type=type_,
        name=type_.value,
    )


HERS: Final = [
    told_by_its_bank(f"h-{type_}", type_)
    for type_ in (AccountType.CHECKING, AccountType.CREDIT_CARD, AccountType.SAVINGS)
]
HIS: Final = [told_by_its_bank(one.external_id.replace("h-", "s-"), one.type) for one in HERS]
JOINT: Final = plain("joint", iban="DE-joint", name="Haushalt")
AGAIN: Final = JOINT.model_copy(update={"external_id": "joint-again"})


@pytest.mark.parametrize("shown", [HIS, HIS[:1], HIS[1:2], HIS[2:]], ids=len)
def test_a_shared_account_does_not_make_a_partners_login_ours(shown: list[Account]) -> None:
    """Hers are not there and his are none of hers: to go on with his would close hers."""
    matches = match_accounts([JOINT, *HERS], [AGAIN, *shown])
    assert matches.same == {"joint-again": "joint"}
    assert matches.is_foreign


def test_fewer_accounts_or_more_are_still_the_same_login() -> None:
    assert not match_accounts([JOINT, *HERS], [AGAIN]).is_foreign
    assert not match_accounts([JOINT], [AGAIN, *HIS]).is_foreign
    assert not match_accounts([*HERS], [*HERS, *HIS]).is_foreign


def test_of_what_is_closed_or_left_out_nothing_is_missing() -> None:
    """So whoever has another account in the place of one that is gone can say so."""
    known, fresh = [JOINT, HERS[1]], [AGAIN, HIS[1]]
    assert match_accounts(known, fresh).is_foreign
    gone = {HERS[1].external_id}
    assert not match_accounts(known, fresh, closed=gone).is_foreign
    assert not match_accounts(known, fresh, unwanted=gone).is_foreign


@pytest.mark.parametrize(
    ("name", "type_", "mask"),
    [
        ("Spar", AccountType.SAVINGS, None),
        ("Spar", AccountType.OTHER, None),
        ("Tagesgeld", AccountType.CHECKING, None),
        ("Spar", AccountType.CHECKING, "1234"),
    ],
)
def test_what_may_be_a_known_one_is_asked_about_and_no_stranger(
    name: str, type_: AccountType, mask: str | None
) -> None:
    """Nothing is known of it but what it was called, or what kind it was, or its last digits."""
    known = [JOINT, plain("old", mask=mask, name=name, type=type_)]
    savings = plain("x", iban="DE2", mask="1234", name="Tagesgeld", type=AccountType.SAVINGS)
    matches = match_accounts(known, [AGAIN, savings])
    assert matches.questions == {"x": ("old",)}
    assert not matches.is_foreign


def test_a_second_account_of_one_number_is_no_stranger() -> None:
    known = [plain("eur", iban="DE1", currency="EUR"), plain("other", iban="DE2")]
    fresh = [plain("x", iban="DE1", currency="EUR"), plain("y", iban="DE1", currency="USD")]
    assert not match_accounts(known, fresh).is_foreign


_KEYS = st.sampled_from(["1", "2", "3"])
_ACCOUNTS = st.builds(
    lambda stable, iban, mask, name, currency, kind: {
        "stable_external_ids": tuple(f"iban:{stable}" for _ in "x" if stable),
        "identifiers": AccountIdentifiers(iban=iban, masked_number=mask),
        "name": name,
        "currency": currency,
        "type": kind,
    },
    st.none() | _KEYS,
    st.none() | _KEYS,
    st.none() | _KEYS,
    st.sampled_from(["Giro", "Card"]),
    st.sampled_from([None, "EUR", "USD"]),
    st.sampled_from([AccountType.CHECKING, AccountType.CREDIT_CARD]),
)
_LISTS = st.lists(_ACCOUNTS, max_size=5)


def numbered(prefix: str, found: list[dict[str, Any]]) -> list[Account]:
    return [account(1, external_id=f"{prefix}{i}", **one) for i, one in enumerate(found)]


def keys(one: Account) -> set[str]:
    stable = {key.removeprefix("iban:") for key in one.stable_external_ids}
    return stable | ({one.identifiers.iban} if one.identifiers.iban else set())


@given(_LISTS, _LISTS, st.sets(st.sampled_from(["k0", "k1", "k2"])), st.randoms())
def test_it_is_one_to_one_in_any_order_and_never_against_a_strong_key(
    known_values: list[dict[str, Any]],
    fresh_values: list[dict[str, Any]],
    closed: set[str],
    order: Any,
) -> None:
    known, fresh = numbered("k", known_values), numbered("f", fresh_values)
    matches = match_accounts(known, fresh, closed=closed)
    assert len(set(matches.same.values())) == len(matches.same)
    told = [*matches.same, *matches.questions, *matches.new]
    assert sorted(told) == sorted(one.external_id for one in fresh)
    by_id = {one.external_id: one for one in (*known, *fresh)}
    pairs = [*matches.same.items()]
    pairs += [(one, other) for one, others in matches.questions.items() for other in others]
    for one, other in pairs:
        ours, theirs = by_id[one], by_id[other]
        assert not (keys(ours) and keys(theirs)) or keys(ours) & keys(theirs)
        assert len({ours.currency, theirs.currency} - {None}) < 2
    taken = set(matches.same.values())
    assert all(taken.isdisjoint(others) for others in matches.questions.values())
    order.shuffle(known)
    order.shuffle(fresh)
    assert match_accounts(known, fresh, closed=closed) == matches


@given(_LISTS)
def test_accounts_that_are_told_again_are_known(values: list[dict[str, Any]]) -> None:
    """Under their own ids always; under others wherever nothing else has their number."""
    known = numbered("k", values)
    assert match_accounts(known, known).same == {one.external_id: one.external_id for one in known}
    fresh = [one.model_copy(update={"external_id": f"new-{one.external_id}"}) for one in known]
    same = match_accounts(known, fresh).same
    for one in known:
        others = [other for other in known if other is not one]
        if keys(one) and all(keys(other).isdisjoint(keys(one)) for other in others):
            assert same[f"new-{one.external_id}"] == one.external_id
