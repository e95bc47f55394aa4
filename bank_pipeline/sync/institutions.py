"""Know the banks behind the connections."""

import logging
from typing import Final

import sqlalchemy as sa
from pydantic import ValidationError

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.providers.cache import INSTITUTION_TTL_S
from bank_pipeline.storage.institutions import save_institution
from bank_pipeline.sync.context import SyncContext

_log: Final = logging.getLogger(__name__)


def remember_institution(context: SyncContext, provider: Provider, external_id: str) -> None:
    """
    Store one institution, asking the provider at most once a day for all connections.

    A failure is logged and left: the institution describes a connection, it does not
    make it.
    """
    try:
        client = context.provider(provider)
        found = context.cache.get_or_create(
            f"institution:{provider}:{external_id}",
            lambda: client.fetch_institution(external_id).model_dump(mode="json"),
            ttl_s=INSTITUTION_TTL_S,
        )
        institution = Institution.model_validate(found)
        with context.engine.begin() as db:
            save_institution(db, institution, now=context.clock())
    except (BankPipelineError, ValidationError, sa.exc.SQLAlchemyError) as error:
        _log.warning("institution %s not stored: %s", external_id, type(error).__name__)
