"""The check on balances names what does not go together, for the operator."""

import dagster as dg
import sqlalchemy as sa

from bank_pipeline.definitions import defs
from bank_pipeline_tests.defs.runs import Runs

INSERT = """
    INSERT INTO bank.balance_checks (account_id, provider_type, currency, expected, told,
        difference, first_difference, first_day, last_day, state, from_at, to_at, opened_at)
    SELECT id, 'current', 'USD', 10, 7, -3, -3, '2026-02-01', '2026-02-02', 'confirmed',
           now(), now(), now()
    FROM bank.accounts LIMIT 1
"""


def evaluate(runs: Runs) -> dg.AssetCheckEvaluation:
    result = defs.resolve_job_def("balance_checks_job").execute_in_process(
        instance=runs.instance, resources={"services": runs.installation.services}
    )
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


def test_a_difference_is_a_warning_with_account_days_and_amount(runs: Runs) -> None:
    """Without one the check passes; a sync's own run does not evaluate it."""
    result = runs.of_partition(*runs.linked())
    assert result.get_asset_check_evaluations() == []
    assert evaluate(runs).passed

    with runs.installation.services.sync.engine.begin() as db:
        db.execute(sa.text(INSERT))
        account_id = db.scalar(sa.text("SELECT account_id::text FROM bank.balance_checks"))
    found = evaluate(runs)

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["balance_differences"].value == 1
    table = found.metadata["differences"]
    assert isinstance(table, dg.TableMetadataValue)
    [record] = [record.data for record in table.records]
    assert record["account"] == account_id
    assert (record["first_day"], record["last_day"]) == ("2026-02-01", "2026-02-02")
    assert (record["difference"], record["currency"]) == ("-3", "USD")
