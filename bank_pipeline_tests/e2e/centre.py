"""What hosts share: a PostgreSQL and a Redis that listen to the network, and simulated banks."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from redis import Redis
from redis.exceptions import RedisError

from bank_pipeline.storage import embedded
from bank_pipeline.storage.embedded_binaries import run_program
from bank_pipeline.storage.embedded_user import select_server_user
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import wait_until


@contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """Serve a new database on all addresses; yields its port. Whoever reaches it is let in."""
    embedded.ensure_running(folder, is_durable=False)
    embedded.stop(folder)
    data = folder / "pg"
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.77.0.0/16 trust\n")
    lines = (data / "pg_hba.conf").read_text().replace("reject", "trust")
    (data / "pg_hba.conf").write_text(lines)
    [port] = free_ports(1)
    options = shlex.join(["-c", "listen_addresses=*", "-c", f"port={port}", "-c", "fsync=off"])
    options += " " + shlex.join(["-c", f"unix_socket_directories={data}"])
    user = select_server_user(data)
    start = ["start", "-D", ".", "-l", "server.log", "-w", "-o", options]
    started = run_program("pg_ctl", start, user=user, folder=data)
    assert started.returncode == 0, started.stdout
    try:
        yield port
    finally:
        stop = ["stop", "-D", ".", "-m", "immediate", "-w"]
        run_program("pg_ctl", stop, user=user, folder=data)


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Serve an empty Redis on all addresses, without a password; yields its port."""
    program = shutil.which("redis-server")
    assert program is not None, "checked before"
    [port] = free_ports(1)
    options = ["--port", str(port), "--bind", "0.0.0.0", "--protected-mode", "no"]  # noqa: S104
    process = subprocess.Popen(
        [program, *options, "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: redis_answers(port), seconds=20, what="redis")
        yield port
    finally:
        process.kill()
        process.wait()


def database_url(host: str, port: int) -> str:
    """Return the address of the served database as seen from a machine."""
    url = sa.URL.create(
        "postgresql+psycopg",
        username=embedded.SUPERUSER,
        host=host,
        port=port,
        database=embedded.DATABASE,
    )
    return url.render_as_string(hide_password=False)


def redis_answers(port: int) -> bool:
    """Say whether a Redis listens here."""
    try:
        with Redis("127.0.0.1", port) as client:
            return bool(client.ping())
    except RedisError:
        return False
