"""A worker: takes runs from the broker and executes them in processes that are warm already."""

import socket
from typing import Any, Final

from celery import Celery
from celery.signals import setup_logging, task_postrun, worker_init
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from bank_pipeline.defs.resources import close_idle_connections

QUEUE: Final = "dagster"
_RUNS_PER_PROCESS: Final = 500  # then a new one takes its place: what leaks, leaks for hours only
_SILENT_BROKER_S: Final = 30
_SETTINGS: Final = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # for ever: a worker outlives its broker
    "broker_transport_options": {"socket_timeout": _SILENT_BROKER_S, "socket_keepalive": True},
    "redis_socket_timeout": _SILENT_BROKER_S,
    "redis_socket_keepalive": True,
    "result_extended": True,  # which worker had a run
    "worker_disable_prefetch": True,  # a run that no process is free for is left to other workers
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_max_tasks_per_child": _RUNS_PER_PROCESS,
    "worker_send_task_events": False,
}


def run_worker(broker_url: str, *, runs: int, name: str | None) -> None:
    """
    Execute runs until told to end: SIGTERM finishes what is in hand, SIGQUIT does not.

    `name` tells apart workers of one machine; None is the machine's own name.
    """
    setup_logging.connect(_keep_logging)
    worker_init.connect(_preload)
    task_postrun.connect(_let_go)
    build_app(broker_url).worker_main(
        [
            "worker",
            f"--concurrency={runs}",
            f"--hostname={name or socket.gethostname()}",
            f"--queues={QUEUE}",
            "--loglevel=INFO",
            "--without-gossip",
            "--without-mingle",
        ]
    )


def build_app(broker_url: str) -> Celery:
    """Build the application that knows Dagster's tasks. Connects to nothing."""
    urls = {"broker": broker_url, "backend": broker_url}
    app: Celery = make_app({**urls, "config_source": _SETTINGS})  # type: ignore[no-untyped-call]
    create_execute_job_task(app)
    create_resume_job_task(app)
    return app


def _keep_logging(**_: Any) -> None:  # noqa: ANN401 - a signal's
    """Keep Celery from setting up logging anew: whoever listens to this has done it."""


def _preload(**_: Any) -> None:  # noqa: ANN401 - a signal's
    """Import everything before processes are forked, so that each begins with it."""
    import dagster_postgres  # noqa: F401, PLC0415 - what takes seconds in every cold run

    from bank_pipeline.definitions import defs  # noqa: PLC0415

    defs.get_repository_def().get_all_jobs()  # which resolves each


def _let_go(**_: Any) -> None:  # noqa: ANN401 - a signal's
    """Between runs a process holds no connections: many processes share few."""
    close_idle_connections()
