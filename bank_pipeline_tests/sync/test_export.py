"""A team takes all its rows along: exactly, as of one moment, and no secret with them."""

import fcntl
import hashlib
import json
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from pyarrow import parquet

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BusyError, NotFoundError, RefusedError
from bank_pipeline.storage.exporting import SECRETS, hidden_columns, opened
from bank_pipeline.storage.tables import NOBODYS, metadata
from bank_pipeline.storage.team_rows import rows_of, team_tables
from bank_pipeline.sync import export as module
from bank_pipeline.sync import export_files
from bank_pipeline.sync.export import MANIFEST, PARTIAL, ExportReport, export_team
from bank_pipeline.sync.export_files import FileFormat
from bank_pipeline_tests.scanning import places, scan_files
from bank_pipeline_tests.sync.ground import CHECKING, READY, Ground
from bank_pipeline_tests.sync.leaks import Canaries

TEAM: Final = "home"
EXACT: Final = "-12345678901234567890.123456789012345678"


@pytest.fixture
def linked(ground: Ground) -> ConnectionId:
    """A bank of the team's, with an amount that no float holds, and one of another team's."""
    ground.world.add_booked(CHECKING, Decimal("-0.10"))
    ground.world.add_booked("acc-3-1", Decimal("-7.77"))
    connection_id = ground.link_ready()
    ground.execute(f"UPDATE bank.transactions SET amount = {EXACT} WHERE amount = -0.10")
    session_id, url = ground.begin_link(team="others")
    ground.decide(url, "login-3")
    [other] = ground.complete(session_id).connection_ids
    ground.pass_time(READY)
    ground.sync(other)
    return connection_id


def export(ground: Ground, folder: Path, **named: Any) -> ExportReport:
    return export_team(ground.context, TEAM, folder, **named)


def lines(folder: Path, table: str) -> list[dict[str, Any]]:
    text = (folder / f"{table}.jsonl").read_text()
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def test_every_row_of_the_team_is_there_and_none_of_others(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    """In both formats, with the counts and sums that the manifest names."""
    folder = tmp_path / "export"
    report = export(ground, folder)

    manifest = json.loads((folder / MANIFEST).read_text())
    assert {one["name"] for one in manifest["files"]} | {MANIFEST} == {
        path.name for path in folder.iterdir()
    }
    [(team_id,)] = ground.query("SELECT id::text FROM bank.teams WHERE name = 'home'")
    assert (manifest["team_id"], report.team_id) == (team_id, team_id)
    for one in manifest["files"]:
        content = (folder / one["name"]).read_bytes()
        assert (one["bytes"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    with ground.engine.connect() as db:
        for table in team_tables():
            if table.name in SECRETS:
                continue
            own = sa.select(sa.func.count()).select_from(table).where(rows_of(table, team_id))
            rows_count = int(db.scalar(own) or 0)
            if table.name == "audit_log":
                rows_count -= 1  # that it is done was written after
            assert len(lines(folder, table.name)) == rows_count, table.name
            assert parquet.read_metadata(folder / f"{table.name}.parquet").num_rows == rows_count
    assert {row["connection_id"] for row in lines(folder, "accounts")} == {linked}
    assert len(lines(folder, "transactions")) > 0
    assert len(lines(folder, "raw_payloads")) > 0


def test_nothing_passes_through_a_float(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    ground.execute("""UPDATE bank.transactions SET details = '{"rate": 0.1000000000000000055}'""")
    export(ground, folder)

    assert EXACT in {row["amount"] for row in lines(folder, "transactions")}
    table = parquet.read_table(folder / "transactions.parquet")
    assert EXACT in table.column("amount").to_pylist()
    assert {str(row["details"]["rate"]) for row in lines(folder, "transactions")} == {
        "0.1000000000000000055"
    }


def test_times_are_utc_and_unknown_is_null(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    export(ground, folder)

    [row] = lines(folder, "connections")
    created = ground.connection(linked).last_success_at
    assert created is not None
    assert datetime.fromisoformat(row["last_success_at"]) == created
    assert row["last_success_at"].endswith("+00:00")
    assert row["erased_at"] is None
    [told] = parquet.read_table(folder / "connections.parquet").to_pylist()
    assert told["last_success_at"] == created.astimezone(UTC)
    assert told["erased_at"] is None


def test_answers_come_as_their_banks_gave_them(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    export(ground, folder)

    for row in lines(folder, "raw_payloads"):
        assert isinstance(json.loads(row["body"]), dict)


def test_no_secret_leaves(ground: Ground, linked: ConnectionId, tmp_path: Path) -> None:
    """Neither in clear nor sealed; what is left out is named, with the reason."""
    canaries = Canaries()
    for item in ground.sandbox.plaid.items:
        canaries.add("access token", item.access_token)
    sealed = ground.query(
        "SELECT ciphertext FROM bank.credentials UNION ALL SELECT state_ciphertext"
        " FROM bank.link_sessions UNION ALL SELECT state_fingerprint FROM bank.link_sessions"
    )
    for number, [content] in enumerate(sealed):
        canaries.add(f"sealed {number}", bytes(content).hex())
    folder = tmp_path / "export"
    export(ground, folder, formats=[FileFormat.JSONL])

    manifest = json.loads((folder / MANIFEST).read_text())
    assert places(scan_files([folder], canaries)) == set()
    assert manifest["tables_left_out"]["credentials"]
    assert "ciphertext" in manifest["columns_left_out"]["notification_targets"]
    assert "digest" in manifest["columns_left_out"]["api_keys"]


def test_every_table_says_whose_its_rows_are_and_every_sealed_column_is_hidden() -> None:
    """A new table, or a new secret, is thought of here."""
    for table in metadata.sorted_tables:
        assert table.name in NOBODYS or rows_of(table, "x") is not None
    sealed = {
        f"{table.name}.{column.name}"
        for table in team_tables()
        for column in table.c
        if table.name not in SECRETS
        and any(word in column.name for word in ("cipher", "fingerprint", "digest", "key_id"))
    }
    shown = {name for name in sealed if name not in hidden_columns()}
    legible = {
        "account_questions.numbers_ciphertext",
        "accounts.numbers_ciphertext",
        "quarantine.raw_ciphertext",
    }
    assert shown == {"raw_payloads.digest", "quarantine.digest"} | legible
    assert all(opened(*name.split(".")) for name in legible)


def test_only_the_owner_may_read_the_files(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    export(ground, folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_all_tables_are_read_as_of_one_moment(
    ground: Ground, linked: ConnectionId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes meanwhile is not held up, and not seen."""
    write_table = export_files.write_table

    def write(*args: Any) -> Any:
        ground.execute("DELETE FROM bank.transactions")
        return write_table(*args)

    monkeypatch.setattr(module, "write_table", write)
    before = ground.count("transactions")
    export(ground, tmp_path / "export")

    assert ground.count("transactions") == 0
    others = {row["team_id"] for row in lines(tmp_path / "export", "transactions")}
    assert len(others) == 1
    assert 0 < len(lines(tmp_path / "export", "transactions")) < before


def test_what_a_crash_left_is_thrown_away_and_read_anew(
    ground: Ground, linked: ConnectionId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is not there until it is whole."""
    folder, partial = tmp_path / "export", tmp_path / f"export{PARTIAL}"
    write_table = export_files.write_table

    def die(where: Path, table: Any, formats: Any) -> Any:
        if table.name == "transactions":
            raise KeyboardInterrupt
        return write_table(where, table, formats)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_table", die)
        with pytest.raises(KeyboardInterrupt):
            export(ground, folder)
    assert not folder.exists()
    assert (partial / "accounts.jsonl").exists()
    ground.execute("UPDATE bank.accounts SET name = 'renamed'")

    export(ground, folder)

    assert not partial.exists()
    assert {row["name"] for row in lines(folder, "accounts")} == {"renamed"}


def test_two_never_write_to_one_folder(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    partial = tmp_path / f"export{PARTIAL}"
    partial.mkdir()
    with (partial / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError):
            export(ground, folder)
    export(ground, folder)
    with pytest.raises(RefusedError):
        export(ground, folder)
    with pytest.raises(NotFoundError):
        export_team(ground.context, "nobody", tmp_path / "other")


@pytest.mark.parametrize("name", ["file/export", "x" * 300], ids=["in a file", "too long"])
def test_a_folder_that_cannot_be_made_is_refused(
    ground: Ground, linked: ConnectionId, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="cannot be made"):
        export(ground, tmp_path / name)


def test_a_team_without_rows_has_files_too(ground: Ground, tmp_path: Path) -> None:
    ground.execute(
        "INSERT INTO bank.teams (id, name, created_at) VALUES (gen_random_uuid(), 'home', now())"
    )
    export(ground, tmp_path / "export")

    assert lines(tmp_path / "export", "transactions") == []
    assert parquet.read_table(tmp_path / "export" / "transactions.parquet").num_rows == 0


@contextmanager
def small_files(folder: Path) -> Iterator[None]:
    """No file may grow, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def no_folder(folder: Path) -> Iterator[None]:
    """The folder that is written to goes away before the third table."""
    write_table, written = export_files.write_table, count()

    def write(where: Path, table: Any, formats: Any) -> Any:
        if next(written) == 2:
            shutil.rmtree(where)
        return write_table(where, table, formats)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_table", write)
        yield


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(small_files, "File too large"), (no_folder, "No such file or directory")],
    ids=["a full disk", "a folder that is gone"],
)
@pytest.mark.parametrize("one", [*FileFormat])
def test_what_cannot_be_written_to_its_end_is_refused_and_not_kept(
    ground: Ground,
    linked: ConnectionId,
    tmp_path: Path,
    one: FileFormat,
    trouble: Callable[[Path], AbstractContextManager[None]],
    reason: str,
) -> None:
    """With the reason, and what to do; the room is free again, and the next export goes well."""
    folder = tmp_path / "to" / "export"
    with trouble(folder), pytest.raises(RefusedError, match=reason) as told:
        export(ground, folder, formats=[one])

    assert "Make room" in str(told.value)
    assert not folder.exists()
    left = {path.name for path in folder.parent.rglob("*")}
    assert left <= {f"export{PARTIAL}", ".lock"}
    export(ground, folder, formats=[one])
    assert (folder / MANIFEST).exists()


def test_what_does_not_open_is_left_empty_and_named_and_the_rest_is_there(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    """One answer that was altered, and one account's numbers whose key is lost."""
    ground.execute(
        "UPDATE bank.raw_payloads SET body = set_byte(body, 20, get_byte(body, 20) # 1) "
        "WHERE id = (SELECT min(id) FROM bank.raw_payloads WHERE team_id = "
        "(SELECT id FROM bank.teams WHERE name = 'home'))"
    )
    ground.execute(
        f"UPDATE bank.accounts SET numbers_ciphertext = 'altered' WHERE connection_id = '{linked}'"
    )
    folder = tmp_path / "export"
    report = export(ground, folder)

    answers, accounts = lines(folder, "raw_payloads"), lines(folder, "accounts")
    [empty] = [row for row in answers if row["body"] is None]
    assert len(answers) > 1
    named = {
        "raw_payloads.body": (str(empty["id"]),),
        "accounts.numbers": tuple(sorted(row["id"] for row in accounts)),
    }
    assert {row["numbers"] for row in accounts} == {None}
    assert {name: tuple(sorted(ids)) for name, ids in report.unopened.items()} == named
    manifest = json.loads((folder / MANIFEST).read_text())
    assert {name: tuple(sorted(ids)) for name, ids in manifest["unopened"].items()} == named
    assert parquet.read_table(folder / "raw_payloads.parquet").column("body").null_count == 1


def test_where_everything_opens_the_manifest_says_so(
    ground: Ground, linked: ConnectionId, tmp_path: Path
) -> None:
    assert export(ground, tmp_path / "export").unopened == {}
    assert json.loads((tmp_path / "export" / MANIFEST).read_text())["unopened"] == {}
