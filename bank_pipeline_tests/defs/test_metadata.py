"""What the operator reads in Dagster, and what never gets there."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster_shared.serdes import serialize_value

from bank_pipeline import defs
from bank_pipeline.defs.failures import words_kept_back
from bank_pipeline.defs.metadata import to_materializations, to_metadata
from bank_pipeline.errors import SetupError
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


@pytest.mark.parametrize("label", ["iban", "account_name", "description", "token", "amount"])
def test_a_label_that_is_not_in_the_list_is_told_nobody(label: str) -> None:
    with pytest.raises(AssertionError, match=f"{label} is not in the list"):
        to_metadata(**{label: 1})


def test_a_label_tells_what_it_says_and_nothing_else() -> None:
    """A count is no text, in which anything could stand."""
    with pytest.raises(AssertionError, match="rows_new is told as str"):
        to_metadata(rows_new="3 rows of Jo Canary")


def test_texts_lose_what_looks_like_a_secret() -> None:
    told = to_metadata(
        institution="access-sandbox-de3ce8ef-33f8",
        failed={"id": "refused: https://bank.example/x?token=canary DE89370400440532013000"},
    )

    assert "access-sandbox" not in str(told)
    assert "canary" not in str(told)
    assert "0532013000" not in str(told)


def _metadata_given() -> Iterator[tuple[str, ast.expr]]:
    """Yield what our definitions give Dagster as metadata, with its place."""
    for path in sorted(Path(defs.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "metadata":
                yield f"{path.name}:{node.value.lineno}", node.value


def _is_constant(node: ast.expr) -> bool:
    """Say whether it is written down where things are defined: labels, names of tables."""
    if isinstance(node, ast.Name):
        return node.id.isupper()
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in {"severity.value", "LATE_OR_WRONG.value"}
    if isinstance(node, ast.JoinedStr):
        return ast.unparse(node).count("{") == ast.unparse(node).count("{step.value}")
    if isinstance(node, ast.Dict):
        return all(_is_constant(one) for one in (*filter(None, node.keys), *node.values))
    return isinstance(node, ast.Constant)


def test_everything_that_dagster_is_told_comes_through_one_door() -> None:
    doors = {"to_metadata", "_to_metadata"}  # the second one calls the first
    wild = [
        place
        for place, node in _metadata_given()
        if not _is_constant(node)
        and not (isinstance(node, ast.Call) and ast.unparse(node.func) in doors)
        and ast.unparse(node) != "{**rows, **shared}"
    ]
    makers = [
        path.name
        for path in Path(defs.__file__).parent.glob("*.py")
        if "MetadataValue." in path.read_text(encoding="utf-8")
    ]

    assert wild == []
    assert makers == ["metadata.py"]


class _CarelessError(Exception):
    """An error of somebody else, whose words quote what they were about."""


def _fail_with(error: Exception) -> None:
    note = "canary in a note"
    error.add_note(note)
    try:
        dict[str, int]()["canary in a context"]
    except KeyError:
        raise error from ValueError("canary in a cause")


def _everything_kept(instance: dg.DagsterInstance, run_id: str) -> str:
    return "".join(serialize_value(one) for one in instance.all_logs(run_id))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_CarelessError("canary in the words"), "_CarelessError at test_metadata.py"),
        (SetupError("what to do"), "SetupError: what to do"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_dagster_keeps_no_words_of_others(error: Exception, told: str) -> None:
    """Neither those of the error nor of its causes, notes and variables."""

    @dg.op
    def fails() -> None:
        secret = "canary in a variable"
        with words_kept_back():
            assert secret
            _fail_with(error)

    @dg.job
    def failing_job() -> None:
        fails()

    with dg.DagsterInstance.ephemeral() as instance:
        result = failing_job.execute_in_process(instance=instance, raise_on_error=False)
        kept = _everything_kept(instance, result.run_id)

    assert not result.success
    assert told in kept
    assert "canary" not in kept


def test_the_database_quotes_no_row_in_an_error(engine: sa.Engine) -> None:
    """Its details would: of a row that fails a check, of a key that is there, of bad values."""
    careless = (
        "INSERT INTO bank.teams (id, name, created_at) VALUES (gen_random_uuid(), 'canary', NULL)",
        "INSERT INTO bank.teams SELECT gen_random_uuid(), 'canary', now() FROM (VALUES (1), (2))",
        "SELECT CAST(convert_from('\\x63616e617279', 'utf8') AS integer)",
        "SELECT CAST(convert_from('\\x63616e617279', 'utf8') AS uuid)",
    )
    for statement in careless:
        with pytest.raises(sa.exc.DBAPIError) as caught, engine.begin() as db:
            db.execute(sa.text(statement))
        assert caught.value.orig is not None
        said = f"{caught.value.orig}" + f"{caught.value}".partition("[SQL:")[0]
        assert "canary" not in said, statement
        assert said
