"""Ports for processes that listen later: others must not be given them until then."""

import itertools
import os
import socket
from contextlib import suppress
from typing import Final

_FIRST: Final = 20_000  # below those that systems give to whoever asks for any port
_EACH: Final = 3_000
_WORKERS_MAX: Final = 4
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OWN: Final = _FIRST + _WORKER % _WORKERS_MAX * _EACH
_ports: Final = (_OWN + count % _EACH for count in itertools.count(os.getpid()))


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on now, and that no other worker is given."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
