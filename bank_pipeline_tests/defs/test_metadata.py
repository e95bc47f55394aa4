"""What the operator reads of one connection's sync."""

from dataclasses import replace

import dagster as dg
import pytest

from bank_pipeline.defs.metadata import to_materializations
from bank_pipeline.sync.reports import SyncReport
from bank_pipeline_tests.sync.conftest import ground, sandbox
from bank_pipeline_tests.sync.ground import Ground

__all__ = ["ground", "sandbox"]


@pytest.fixture
def report(ground: Ground) -> SyncReport:
    return ground.sync(ground.link_ready())


def test_counted_calls_that_are_left_are_told_where_a_provider_counts(report: SyncReport) -> None:
    for told in to_materializations(report):
        assert "provider_calls_left" not in told.metadata
    for told in to_materializations(replace(report, calls_left=2)):
        assert told.metadata["provider_calls_left"] == dg.MetadataValue.int(2)


def test_each_partition_leads_to_the_gateways_page_where_there_is_a_gateway(
    report: SyncReport,
) -> None:
    for told in to_materializations(report):
        assert "connection_page" not in told.metadata
    for told in to_materializations(report, gateway_url="https://bank.example.com/"):
        page = f"https://bank.example.com/connections/{report.connection_id}"
        assert told.metadata["connection_page"] == dg.MetadataValue.url(page)
