"""The services of one command, closed when it ends."""

import getpass
from contextlib import ExitStack
from typing import Final

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.config import Settings
from bank_pipeline.domain.audit import Actor, ActorKind, to_actor_id

at_the_end: Final = ExitStack()
"""What `main` does after the command, however that ends."""


def open_services() -> Services:
    """
    Build the services from the environment; all their connections end with the command.

    Raises:
        SetupError: something the operator must change; the message says what.
    """
    services = build_services(Settings()).by(operator())
    at_the_end.callback(services.close)
    return services


def operator() -> Actor:
    """Return who works at the command line, as the operating system calls them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = "unknown"
    return Actor(ActorKind.CLI, to_actor_id(name))
