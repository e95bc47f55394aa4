"""The chain over the audit log: it holds as written, and tells how it was altered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.audit import (
    GENESIS,
    SYSTEM,
    Actor,
    ActorKind,
    AuditAction,
    AuditEntry,
    Seal,
    chain_hash,
    check_details,
    digest_of,
    seal,
    to_actor_id,
)
from bank_pipeline.domain.audit_proof import (
    LATE_MAX,
    PROBLEMS_MAX,
    ChainProof,
    Problem,
    SealedEntry,
    Tampering,
)

NOW: Final = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)


def entry(number: int, **named: object) -> AuditEntry:
    plain = AuditEntry(
        id=number,
        at=NOW + timedelta(minutes=number),
        actor=Actor(ActorKind.CLI, "root"),
        action=AuditAction.SYNCED,
        team_id="team",
        connection_id=f"connection-{number}",
        details={"inserted": number},
    )
    return replace(plain, **named)  # type: ignore[arg-type]


def chain(*entries: AuditEntry) -> list[SealedEntry]:
    pairs: list[SealedEntry] = []
    last: Seal | None = None
    for one in entries:
        last = seal(last, one, sealed_at=one.at + timedelta(minutes=1))
        pairs.append(SealedEntry(last, one))
    return pairs


def problems(pairs: list[SealedEntry], expected: bytes | None = None) -> list[Problem]:
    proof = ChainProof(expected)
    proof.look(pairs)
    return proof.problems


def renumbered(pairs: list[SealedEntry]) -> list[SealedEntry]:
    return [
        SealedEntry(replace(pair.seal, number=number), pair.entry)
        for number, pair in enumerate(pairs, 1)
    ]


def ten() -> list[SealedEntry]:
    return chain(*map(entry, range(1, 11)))


def test_a_chain_as_it_was_written_holds() -> None:
    """Also for heads that were noted on the way."""
    pairs = ten()

    assert problems(pairs) == []
    for pair in pairs:
        assert problems(pairs, pair.seal.hash) == []
    assert problems([]) == []


@given(
    at=st.integers(1, 10),
    name=st.sampled_from(["at", "actor", "action", "team_id", "connection_id", "details"]),
)
def test_whatever_is_changed_in_an_entry_is_named(at: int, name: str) -> None:
    pairs = ten()
    other: dict[str, object] = {
        "at": pairs[at - 1].seal.sealed_at,
        "actor": SYSTEM,
        "action": AuditAction.ERASED,
        "team_id": None,
        "connection_id": None,
        "details": {},
    }
    pairs[at - 1] = SealedEntry(pairs[at - 1].seal, entry(at, **{name: other[name]}))

    assert problems(pairs) == [Problem(Tampering.CHANGED, at, at)]


def test_an_entry_that_is_gone_is_named() -> None:
    pairs = ten()
    pairs[4] = SealedEntry(pairs[4].seal, None)

    assert problems(pairs) == [Problem(Tampering.REMOVED, 5, 5)]


def test_an_entry_that_is_gone_with_its_seal_leaves_a_gap() -> None:
    pairs = ten()

    assert problems(pairs[:4] + pairs[5:]) == [Problem(Tampering.REMOVED, 5, None)]
    assert problems(pairs[1:]) == [Problem(Tampering.REMOVED, 1, None)]


def test_a_gap_that_was_closed_by_new_numbers_is_found_where_the_chain_breaks() -> None:
    pairs = renumbered(ten()[:4] + ten()[5:])

    assert problems(pairs) == [Problem(Tampering.REMOVED, 5, 6)]


@pytest.mark.parametrize("is_forged", [True, False])
def test_an_entry_that_was_put_between_is_named(is_forged: bool) -> None:
    """Whether its seal follows the one before it, or is made up."""
    pairs = ten()
    strange = entry(99, at=NOW + timedelta(minutes=5))
    sealed = seal(pairs[4].seal, strange, sealed_at=NOW + timedelta(minutes=6))
    if not is_forged:
        sealed = replace(sealed, hash=bytes(32))
    pairs.insert(5, SealedEntry(sealed, strange))

    assert problems(renumbered(pairs)) == [Problem(Tampering.INSERTED, 6, 99)]


def test_an_entry_that_is_dated_back_is_named() -> None:
    """It was sealed by our own sealer: only its time gives it away."""
    first = entry(1)
    late = entry(2, at=first.at - LATE_MAX - timedelta(seconds=1))
    pairs = chain(first)
    sealed = seal(pairs[0].seal, late, sealed_at=first.at + timedelta(days=1))
    pairs.append(SealedEntry(sealed, late))

    assert problems(pairs) == [Problem(Tampering.INSERTED, 2, 2)]


def test_entries_that_waited_long_for_their_seals_are_no_insertions() -> None:
    """As after an evening without the daemon: sealed together, long after they were written."""
    entries = [entry(1), entry(2), entry(3)]
    sealed_at = entries[-1].at + timedelta(hours=10)
    pairs, last = [], None
    for one in entries:
        last = seal(last, one, sealed_at=sealed_at)
        pairs.append(SealedEntry(last, one))

    assert problems(pairs) == []


def test_entries_that_changed_places_are_named() -> None:
    pairs = ten()
    pairs[3], pairs[4] = pairs[4], pairs[3]

    found = problems(renumbered(pairs))

    assert {one.how for one in found} == {Tampering.REORDERED}
    assert {5, 4} <= {one.entry_id for one in found}


def test_a_seal_that_was_made_anew_with_its_entry_breaks_the_chain() -> None:
    pairs = ten()
    other = entry(5, details={"inserted": 0})
    before = pairs[3].seal
    pairs[4] = SealedEntry(seal(before, other, sealed_at=pairs[4].seal.sealed_at), other)

    [found] = problems(pairs)

    assert found == Problem(Tampering.REMOVED, 6, 6)


def test_a_chain_that_was_cut_off_or_made_anew_misses_the_noted_head() -> None:
    """Nothing in it is wrong: only who noted the head elsewhere can tell."""
    pairs = ten()
    head = pairs[-1].seal.hash
    anew = chain(*(entry(n, details={}) for n in range(1, 11)))

    assert problems(pairs[:-1]) == []
    assert problems(pairs[:-1], head) == [Problem(Tampering.REPLACED, None, None)]
    assert problems(anew, head) == [Problem(Tampering.REPLACED, None, None)]


@given(st.data())
def test_no_alteration_goes_unseen(data: st.DataObject) -> None:
    """Remove, move, double or swap whatever seals: with the noted head something is always said."""
    pairs = ten()
    head = pairs[-1].seal.hash
    alter: Callable[[], object] = data.draw(
        st.sampled_from(
            [
                lambda: pairs.pop(data.draw(st.integers(0, len(pairs) - 1))),
                pairs.reverse,
                lambda: pairs.insert(
                    data.draw(st.integers(0, 9)), pairs.pop(data.draw(st.integers(0, 9)))
                ),
                lambda: pairs.append(pairs[data.draw(st.integers(0, 8))]),
            ]
        )
    )
    before = [*pairs]
    alter()

    altered = renumbered(pairs) if data.draw(st.booleans()) else pairs
    is_same = [one.seal for one in altered] == [one.seal for one in before]
    assert bool(problems(altered, head)) is not is_same


def test_many_problems_are_counted_and_the_first_are_named() -> None:
    pairs = [SealedEntry(pair.seal, None) for pair in chain(*map(entry, range(1, 40)))]
    proof = ChainProof()
    proof.look(pairs)

    assert (len(proof.problems), proof.problems_count) == (PROBLEMS_MAX, 39)


def test_the_same_moment_in_another_zone_is_the_same_entry() -> None:
    there = timezone(timedelta(hours=5, minutes=30))

    assert digest_of(entry(1, at=NOW)) == digest_of(entry(1, at=NOW.astimezone(there)))


def test_the_form_of_the_chain_is_for_ever() -> None:
    """Whoever changes it breaks the chains that are out there."""
    sealed = seal(None, entry(1), sealed_at=NOW)

    assert digest_of(entry(1)).hex() == sealed.digest.hex()
    assert sealed.hash == chain_hash(GENESIS, 1, sealed_at=NOW, digest=sealed.digest)
    assert sealed.hash.hex() == "e8a61adeb8c41863e3dfd41d83451e983864f1af00a285a88c9e6507ca2f9c63"


@pytest.mark.parametrize("text", ["Erika Mustermann", "", "a\nb", "Café", "x" * 101])
def test_details_are_no_texts(text: str) -> None:
    with pytest.raises(AssertionError):
        check_details({"name": text})


def test_a_login_of_any_spelling_becomes_an_id() -> None:
    assert to_actor_id("DOMAIN\\jörg meier") == "DOMAIN_j_rg_meier"
    assert to_actor_id("") == "unknown"
    with pytest.raises(AssertionError):
        Actor(ActorKind.CLI, "jörg meier")
