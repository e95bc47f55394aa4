"""Know the banks: all that a provider offers, and the ones behind the connections."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from pydantic import ValidationError

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.providers.cache import INSTITUTION_TTL_S
from bank_pipeline.storage.institutions import save_institution, save_institutions
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.recording import recorded

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class InstitutionsReport:
    """
    What reading one provider's list of banks changed; `offered` is how many there are now.

    `unreadable` counts the rows that were left out, by reason (fields and rules, no values),
    the most frequent first.
    """

    provider: Provider
    offered: int
    inserted: int
    updated: int
    removed: int
    unchanged: int
    unreadable: Mapping[str, int]

    @property
    def unreadable_count(self) -> int:
        """Return how many rows could not be read."""
        return sum(self.unreadable.values())


@recorded
def sync_institutions(
    context: SyncContext, provider: Provider, *, accept_removals: bool = False
) -> InstitutionsReport:
    """
    Make the stored banks of one provider equal to its list.

    Banks that are gone are removed, softly; `accept_removals` allows that most of them are.
    A row that cannot be read is reported, and its bank, if we have it, stays.

    Raises:
        ProviderError: the list did not come; nothing was changed.
        SetupError: the provider is switched off, or its list looks torn.
    """
    answer = context.provider(provider).fetch_institutions()
    with context.engine.begin() as db:
        counts = save_institutions(
            db,
            provider,
            answer.institutions,
            now=context.clock(),
            unreadable=[row.external_id for row in answer.unreadable],
            accept_removals=accept_removals,
        )
    unreadable = Counter(row.reason for row in answer.unreadable)
    for reason, count in unreadable.most_common(1):
        _log.warning(
            "%s: %d banks cannot be read, %d of them: %s",
            provider,
            unreadable.total(),
            count,
            reason,
        )
    return InstitutionsReport(
        provider,
        counts.inserted + counts.updated + counts.unchanged,
        counts.inserted,
        counts.updated,
        counts.removed,
        counts.unchanged,
        dict(unreadable.most_common()),
    )


@recorded
def remember_institution(
    context: SyncContext, provider: Provider, external_id: str, *, is_known: bool = False
) -> None:
    """
    Store one institution, asking the provider at most once a day for all connections.

    Of a bank that is stored (`is_known`) what was told before is there already.

    A failure is logged and left: the institution describes a connection, it does not
    make it.
    """
    told: list[Institution] = []

    def ask() -> dict[str, Any]:
        told.append(context.provider(provider).fetch_institution(external_id))
        return told[-1].model_dump(mode="json")

    try:
        key = f"institution:{provider}:{external_id}"
        found = context.cache.get_or_create(key, ask, ttl_s=INSTITUTION_TTL_S)
        if is_known and not told:
            return
        institution = Institution.model_validate(found)
        with context.engine.begin() as db:
            save_institution(db, institution, now=context.clock())
    except (BankPipelineError, ValidationError, sa.exc.SQLAlchemyError) as error:
        _log.warning("institution %s not stored: %s", external_id, type(error).__name__)
