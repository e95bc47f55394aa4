"""Continue a connection through another provider: its accounts and rows keep their ids."""

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.institution_search import load_same_bank
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.link import LinkStarted, start_link
from bank_pipeline.sync.renewal import check_continues


def start_switch(
    context: SyncContext,
    connection_id: ConnectionId,
    to: Provider,
    *,
    institution: str | None = None,
    return_url: str | None = None,
    customer_kind: CustomerKind | None = None,
) -> LinkStarted:
    """
    Begin a link through another provider that continues a connection.

    The connection goes on as it was until the new provider has read an account. Then provider,
    consent and the external ids of its accounts change at once; rows of the dates that the new
    one shows are recognised by content, the older ones stay. The old consent is ended after
    that. `institution` is the bank's id at the new provider, found by BIC or name without it.

    Raises:
        SetupError: it cannot be done like this; the message says what to do instead.
    """
    client = context.provider(to)
    with context.engine.connect() as db:
        connection = load_connection(db, connection_id)
        found = (
            load_same_bank(db, connection.provider, connection.institution_external_id, to)
            if institution is None and connection.institution_external_id is not None
            else ()
        )
    check_continues(connection, to, client)
    if connection.provider is to:
        raise SetupError(
            f"connection {connection_id} is of {to} already; to renew it: "
            f"bank-pipeline link {to.replace('_', '-')} --renew {connection_id}"
        )
    if institution is None and client.capabilities.is_institution_chosen_first:
        if len(found) != 1:
            listed = f" (perhaps one of {', '.join(found)})" if found else ""
            raise SetupError(
                f"which bank is it at {to}{listed}? Say --institution ID, which "
                "`bank-pipeline institutions search` tells after `institutions sync`"
            )
        institution = found[0]
    return start_link(
        context,
        to,
        team_name="",
        institution=institution,
        renews=connection_id,
        return_url=return_url,
        customer_kind=customer_kind,
    )
