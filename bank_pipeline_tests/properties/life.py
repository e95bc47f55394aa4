"""Random lives of accounts: what may happen at a bank, drawn by hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from bank_pipeline.sandbox.ledger import Entry, EntryState
from bank_pipeline.sandbox.world import World

Deed = tuple[str, int, int]
"""What happens, to which entry or account (any number: it wraps), and with which amount."""

NAMES: Final = (
    "add_booked",
    "add_booked",
    "add_pending",
    "add_pending",
    "add_unlinked",
    "add_twin",
    "book",
    "book",
    "book_changed",
    "change",
    "vanish",
    "remove",
    "restore",
    "touch",
)
deeds: Final = st.tuples(st.sampled_from(NAMES), st.integers(0, 9), st.integers(1, 3))


@dataclass
class Life:
    """The scripted entries of one login; deeds that no entry allows do not happen."""

    world: World
    accounts: tuple[str, ...]

    def __post_init__(self) -> None:
        self._ids: list[str] = []

    def do(self, deed: Deed) -> None:
        """Let one thing happen."""
        name, which, amount = deed
        if name.startswith("add_") and name != "add_twin":
            self._add(name, self.accounts[which % len(self.accounts)], Decimal(-amount))
            return
        allowed, act = _DEEDS[name]
        entries = [one for one in map(self.world.entry, self._ids) if one.state in allowed]
        if entries:
            act(self, entries[which % len(entries)], Decimal(-amount))

    def _add(self, name: str, account: str, amount: Decimal) -> None:
        add = self.world.add_booked if name == "add_booked" else self.world.add_pending
        entry = add(account, amount, description="Blue Cup", linked=name != "add_unlinked")
        self._ids.append(entry.id)

    def twin(self, entry: Entry, _: Decimal) -> None:
        """Show another entry that equals one in everything."""
        self._ids.append(self.world.add_twin(entry.id).id)


_DEEDS: Final[dict[str, tuple[tuple[EntryState, ...], Callable[[Life, Entry, Decimal], Any]]]] = {
    "add_twin": ((EntryState.PENDING, EntryState.BOOKED), Life.twin),
    "book": ((EntryState.PENDING,), lambda self, one, _: self.world.book(one.id)),
    "book_changed": (
        (EntryState.PENDING,),
        lambda self, one, amount: self.world.book(one.id, amount=amount * 2),
    ),
    "change": (
        (EntryState.PENDING, EntryState.BOOKED),
        lambda self, one, amount: self.world.change(one.id, amount=amount * 3),
    ),
    "vanish": ((EntryState.PENDING,), lambda self, one, _: self.world.vanish(one.id)),
    "remove": ((EntryState.BOOKED,), lambda self, one, _: self.world.remove(one.id)),
    "restore": ((EntryState.REMOVED,), lambda self, one, _: self.world.restore(one.id)),
    "touch": (
        (EntryState.PENDING, EntryState.BOOKED),
        lambda self, one, _: self.world.touch(one.id),
    ),
}
