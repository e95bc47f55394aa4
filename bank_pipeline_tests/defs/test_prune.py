"""What was only kept for a while is forgotten, by a job of its own; the money stays."""

import os

import sqlalchemy as sa

from bank_pipeline.definitions import defs
from bank_pipeline_tests.defs.runs import Runs


def _count(db: sa.Connection, what: str) -> int:
    return int(db.scalar(sa.text(f"SELECT count(*) FROM {what}")) or 0)


def test_answers_past_their_retention_are_deleted_and_abandoned_links_closed(runs: Runs) -> None:
    runs.of_partition(*runs.linked())
    services = runs.installation.services
    with services.sync.engine.begin() as db:
        transactions = _count(db, "bank.transactions")
        db.execute(
            sa.text(
                "UPDATE bank.raw_payloads SET received_at = received_at - interval '91 days' "
                "WHERE operation = 'accounts/get'"
            )
        )
        kept = _count(db, "bank.raw_payloads WHERE operation <> 'accounts/get'")
        db.execute(
            sa.text(
                "UPDATE bank.link_sessions SET outcome = NULL, finished_at = NULL, "
                "expires_at = expires_at - interval '1 day'"
            )
        )

    cached = services.settings.state_dir / "cache" / "aa" / "old"
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.touch()
    os.utime(cached, (0, 0))

    result = defs.resolve_job_def("prune_job").execute_in_process(
        instance=runs.instance, resources={"services": services}
    )

    assert result.success
    assert not cached.exists()
    with services.sync.engine.connect() as db:
        assert _count(db, "bank.raw_payloads") == kept > 0
        assert _count(db, "bank.link_sessions WHERE outcome = 'expired'") == 1
        assert _count(db, "bank.transactions") == transactions > 0
