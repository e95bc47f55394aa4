"""Whether the chain of the audit log holds, entry by entry, and how it does not. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.audit import GENESIS, AuditEntry, Seal, chain_hash, digest_of

PROBLEMS_MAX: Final = 20
LATE_MAX: Final = timedelta(hours=1)
"""No transaction of ours is open for so long, so nothing is dated so far before earlier seals."""
_LOOKED_BACK: Final = 64  # seals among which one that stands elsewhere is looked for


class Tampering(StrEnum):
    """What was done to the log."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Problem:
    """
    Where the chain does not hold.

    `number` is the seal's, `entry_id` the entry's. REMOVED names the entry where it is known
    (its seal is left), else the seal before which something is missing, or was changed together
    with its seal. REPLACED: a head that was noted earlier is not in the chain, so that it was cut
    off or made anew.
    """

    how: Tampering
    number: int | None
    entry_id: int | None


@dataclass(frozen=True)
class SealedEntry:
    """A seal, and the entry that it names; None where there is none."""

    seal: Seal
    entry: AuditEntry | None


@dataclass
class ChainProof:
    """
    Looks at the chain from its first seal on, and remembers what is wrong with it.

    `expected`: the hash of a head that was noted earlier.
    """

    expected: bytes | None = None
    sealed_count: int = 0
    head: Seal | None = None
    problems: list[Problem] = field(default_factory=list)
    problems_count: int = 0
    _is_expected_found: bool = False
    _newest_at: datetime | None = None
    _recent: deque[Seal] = field(default_factory=lambda: deque(maxlen=_LOOKED_BACK))
    _broken: list[Seal] = field(default_factory=list)

    def look(self, pairs: Iterable[SealedEntry]) -> None:
        """Look at all seals, in the order of their numbers."""
        for pair in pairs:
            self._look_at_seal(pair.seal)
            self._look_at_entry(pair)
            self._is_expected_found |= pair.seal.hash == self.expected
            self.sealed_count += 1
            self.head = pair.seal
        self._judge_broken()
        if self.expected is not None and not self._is_expected_found:
            self._note(Tampering.REPLACED, None, None)

    def _look_at_seal(self, seal: Seal) -> None:
        number = 1 if self.head is None else self.head.number + 1
        is_next = seal.number == number
        if is_next and not _follows(seal, GENESIS if self.head is None else self.head.hash):
            self._broken.append(seal)
            return
        self._judge_broken()
        if not is_next:
            self._note(Tampering.REMOVED, number, None)
        self._recent.append(seal)

    def _look_at_entry(self, pair: SealedEntry) -> None:
        seal, entry = pair.seal, pair.entry
        if entry is None:
            self._note(Tampering.REMOVED, seal.number, seal.entry_id)
        elif digest_of(entry) != seal.digest:
            self._note(Tampering.CHANGED, seal.number, seal.entry_id)
        elif self._newest_at and entry.at < self._newest_at - LATE_MAX:
            self._note(Tampering.INSERTED, seal.number, seal.entry_id)
        if entry is not None:
            # By the entries' own times: those that waited long for their seals are not late.
            at = min(entry.at, seal.sealed_at)
            self._newest_at = max(self._newest_at or at, at)

    def _judge_broken(self) -> None:
        """
        Say what happened where the chain broke, until it held again.

        Each seal names the hash that it followed once. Is that one of its neighbours', it was
        moved, or something was put between; is it none, what it followed is gone.
        """
        broken, self._broken = self._broken, []
        if not broken:
            return
        before = self._recent[-1].hash if self._recent else GENESIS
        known = {GENESIS, *(one.hash for one in (*self._recent, *broken))}
        lost = [one for one in broken if not any(_follows(one, other) for other in known)]
        if not lost and len(broken) > 1:
            self._note_all(Tampering.REORDERED, broken)
        elif not lost:
            self._note_all(Tampering.INSERTED, self._put_before(broken[0]))
        elif any(_follows(one, before) for one in broken):
            self._note_all(Tampering.INSERTED, lost)
        else:
            self._note_all(Tampering.REMOVED, lost)
        self._recent.extend(broken)

    def _put_before(self, seal: Seal) -> list[Seal]:
        """Return the seals between this one and the one that it followed once."""
        between: list[Seal] = []
        for one in reversed(self._recent):
            if _follows(seal, one.hash):
                break
            between.append(one)
        return between[::-1]

    def _note_all(self, how: Tampering, seals: Iterable[Seal]) -> None:
        for one in seals:
            self._note(how, one.number, one.entry_id)

    def _note(self, how: Tampering, number: int | None, entry_id: int | None) -> None:
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(how, number, entry_id))


def _follows(seal: Seal, before: bytes) -> bool:
    made = chain_hash(before, seal.entry_id, sealed_at=seal.sealed_at, digest=seal.digest)
    return seal.hash == made
