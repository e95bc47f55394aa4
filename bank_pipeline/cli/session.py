"""The services of one command, closed when it ends."""

from contextlib import ExitStack
from typing import Final

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.config import Settings

at_the_end: Final = ExitStack()
"""What `main` does after the command, however that ends."""


def open_services() -> Services:
    """
    Build the services from the environment; all their connections end with the command.

    Raises:
        SetupError: something the operator must change; the message says what.
    """
    services = build_services(Settings())
    at_the_end.callback(services.sync.engine.dispose)
    for client in services.sync.providers.values():
        at_the_end.callback(client.close)
    return services
