"""What one case came to: what was compared, what was left out, what got lost. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bank_pipeline.domain.transaction import Transaction
from bank_pipeline_tests.corpus.cases import Case
from bank_pipeline_tests.corpus.convention import IGNORED, Compared


@dataclass(frozen=True)
class Fed:
    """The rows of one answer that landed, and how many were set aside."""

    rows: tuple[Transaction, ...]
    quarantined_count: int = 0


@dataclass
class Sheet:
    """The record of one case. A row that neither lands nor is set aside is `lost`."""

    case: Case
    compared: list[Compared] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    fed_count: int = 0

    def add(self, name: str, expected: Any, found: Any) -> None:
        """Note one expectation, in our convention, and what we have."""
        self.compared.append(Compared(self.case.id, name, expected, found))

    def ignore(self, name: str) -> None:
        """Note an expectation that has no counterpart, for a reason that is written down."""
        assert name in IGNORED, f"{self.case.id}: no reason to ignore {name}"
        self.ignored[name] += 1

    def account_for(self, fed: Fed, raws: Sequence[Any], *, may_drop: bool = False) -> Fed:
        """Note how many rows were fed, and whether all of them are somewhere."""
        self.fed_count += len(raws)
        told = len(fed.rows) + fed.quarantined_count
        if told < len(raws) and not may_drop:
            self.lost.append(f"{self.case.id}: {len(raws) - told} of {len(raws)} rows")
        return fed
