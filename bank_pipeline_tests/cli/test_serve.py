"""`bank-pipeline serve`: what has to be shared is asked for before anything starts."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
import yaml

from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.cli.serve import Part, code_server_command, serve
from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import wait_until

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def settings(folder: Path, **named: str) -> Settings:
    database = "postgresql://bank@db.internal/bank"
    given = {"state_dir": folder, "database_url": database, "encryption_key": KEY, **named}
    return Settings.model_validate(given)


def test_a_broker_elsewhere_needs_all_that_hosts_share(tmp_path: Path) -> None:
    """A file of one machine is no key and no cache for another; the message names what to set."""
    remote = "redis://:secret@broker.internal:6379/0"

    with pytest.raises(SetupError, match="set BANK_PIPELINE_REDIS_URL to the same on all") as told:
        dagster_environment(settings(tmp_path, broker_url=remote))

    assert "secret" not in str(told.value)
    both = settings(tmp_path, broker_url=remote, redis_url="redis://broker.internal:6379/1")
    assert dagster_environment(both)["BANK_PIPELINE_BROKER_URL"] == remote


def test_a_broker_of_this_machine_needs_nothing_else(tmp_path: Path) -> None:
    """The fast path is one setting."""
    local = settings(tmp_path, broker_url="redis://localhost:6379/0")

    assert dagster_environment(local)["DAGSTER_HOME"]


def test_secrets_stay_out_of_the_instance_s_file(tmp_path: Path) -> None:
    """It names variables: Dagster shows it in its UI and sends it along with runs."""
    named = settings(
        tmp_path,
        broker_url="redis://:broker-secret@localhost:6379/0",
        database_url="postgresql://bank:database-secret@db.internal/bank",
    )

    home = Path(dagster_environment(named)["DAGSTER_HOME"])

    text = (home / "dagster.yaml").read_text()
    assert "secret" not in text
    assert yaml.safe_load(text)["run_launcher"]["class"] == "HostsRunLauncher"


def test_a_folder_in_the_home_is_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell reads a .env file: Dagster's processes had a second database, in a folder `~`."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)

    named = settings(Path("~/bank"), enable_banking_key_path="~/key.pem")

    assert dagster_environment(named)["BANK_PIPELINE_STATE_DIR"] == str(home / "bank")
    assert named.enable_banking_key_path == home / "key.pem"
    assert [*elsewhere.iterdir()] == []


def test_without_a_broker_each_run_has_its_own_process(tmp_path: Path) -> None:
    """Off by default."""
    home = Path(dagster_environment(settings(tmp_path))["DAGSTER_HOME"])

    launcher = yaml.safe_load((home / "dagster.yaml").read_text())["run_launcher"]
    assert launcher["class"] == "LocalRunLauncher"


@pytest.mark.xdist_group("processes")
def test_the_code_server_is_one_process(tmp_path: Path) -> None:
    """Whoever watches it sees when it ends: nothing stays that looks alive and takes no runs."""
    (tmp_path / "nothing.py").write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
    [port] = free_ports(1)
    program, *arguments = code_server_command("nothing", host="127.0.0.1", port=port)
    command = [str(Path(sys.executable).parent / program), *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=None)
    try:
        wait_until(lambda: serves(port), seconds=100, what="the code server")

        assert psutil.Process(process.pid).children(recursive=True) == []
    finally:
        process.kill()
        process.wait()


def serves(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_worker_without_a_broker_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for ever."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BANK_PIPELINE_DATABASE_URL", "postgresql://bank@db.internal/bank")
    monkeypatch.setenv("BANK_PIPELINE_STATE_DIR", str(tmp_path))

    with pytest.raises(SetupError, match="set BANK_PIPELINE_BROKER_URL"):
        serve(Part.WORKER)


@pytest.mark.parametrize("url", ["amqp://guest@localhost", "localhost:6379"])
def test_a_broker_that_is_no_redis_is_refused(tmp_path: Path, url: str) -> None:
    """Its results would be seen by the asking process alone."""
    with pytest.raises(ValueError, match="must begin with redis://"):
        settings(tmp_path, broker_url=url)


def test_any_part_may_be_the_first(
    tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster makes its tables in a schema of ours, and ended with a traceback where it was not."""
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(sa.text("CREATE DATABASE test_of_serve"))
    url = sa.make_url(server_url).set(database="test_of_serve").render_as_string(False)
    started: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BANK_PIPELINE_DATABASE_URL", url)
    monkeypatch.setenv("BANK_PIPELINE_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("os.execve", lambda path, *_: started.append(Path(path).name))
    try:
        serve(Part.DAEMON)

        assert started == ["dagster-daemon"]
        engine = build_engine(url)
        with engine.connect() as db:
            assert db.scalar(sa.text("SELECT to_regnamespace('dagster') IS NOT NULL"))
        engine.dispose()
    finally:
        with server.connect() as db:
            db.execute(sa.text("DROP DATABASE test_of_serve WITH (FORCE)"))
        server.dispose()
