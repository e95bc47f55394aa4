"""
A process whose children work until they are killed: `python -m bank_pipeline.simulation.mortal`.

Reads orders from standard input, a JSON object per line. For each it forks a child with
everything imported, which syncs one connection and kills itself at the given point. All that
they log goes to standard error.
"""

import json
import logging
import os
import signal
import sys
from datetime import datetime
from typing import Any

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.simulation.installation import ToldSettings, build_context, seeded_mint
from bank_pipeline.simulation.points import die_at
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import minted_by
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest

NAME = "mortal"
"""What the child's sessions are called on the server."""


def main() -> None:
    """Carry out orders until there are no more."""
    logging.basicConfig(level=logging.DEBUG)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_live(json.loads(line)))
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(json.dumps({"was_killed": was_killed}) + "\n")
        sys.stdout.flush()


def _live(order: dict[str, Any]) -> int:
    die_at(order["point"])
    settings = ToldSettings.model_validate(order["settings"])
    now = datetime.fromisoformat(order["now"])
    engine = build_engine(order["database_url"], application_name=NAME)
    context = build_context(settings, engine, clock=lambda: now, cached={})
    connection_id = ConnectionId(order["connection_id"])
    with minted_by(seeded_mint("mortal", order["now"], connection_id)):
        try:
            sync_connection(context, SyncRequest(connection_id, SyncReason.SCHEDULE))
        except BankPipelineError:
            return 1  # it is written down, like every failure
    return 0


if __name__ == "__main__":
    main()
