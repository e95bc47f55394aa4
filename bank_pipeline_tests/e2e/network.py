"""Machines of their own: network namespaces joined by a bridge; else mere groups of processes."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

_HIDE: Final = 'for folder in $HIDDEN; do mount -t tmpfs none "$folder"; done; exec "$@"'

_NUMBERS: Final = count(os.getpid())


@dataclass
class Host:
    """A machine with a folder of its own. Without a namespace: a process group and that folder."""

    name: str
    folder: Path
    centre: str
    """The address at which it reaches what is shared."""
    namespace: str | None
    hidden: Sequence[Path] = ()
    """Folders of the other machines: it cannot see into them."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process on it, in its folder; what it prints goes to `output.log` there."""
        prefix: list[str] = []
        hidden = {"HIDDEN": " ".join(map(str, self.hidden))}
        if self.namespace is not None:
            prefix = ["ip", "netns", "exec", self.namespace, "sh", "-c", _HIDE, "sh"]
        with (self.folder / "output.log").open("ab") as log:
            process = subprocess.Popen(
                [*prefix, *command],
                cwd=self.folder,
                env={**os.environ, **environment, **hidden},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)

    def kill(self) -> None:
        """Kill everything on it at once, as when the power fails."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def cut(self) -> None:
        """Pull its cable: no packet comes or goes any more, and nobody is told."""
        assert self.namespace is not None, "a mere group of processes has no cable"
        _ip("-n", self.namespace, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Put the cable back."""
        assert self.namespace is not None, "a mere group of processes has no cable"
        _ip("-n", self.namespace, "link", "set", "eth0", "up")


def has_namespaces() -> bool:
    """Say whether this user may make network namespaces here."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"bank-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode == 0:
        _ip("netns", "del", name)
    return made.returncode == 0


@contextmanager
def two_hosts(folder: Path) -> Iterator[tuple[Host, Host]]:
    """Give two machines beside this one, which is the centre; all that runs on them is ended."""
    folders = {name: folder / name for name in ("centre", "left", "right")}
    for one in folders.values():
        one.mkdir()
    if not has_namespaces():
        hosts = [
            Host(name, folders[name], "127.0.0.1", namespace=None) for name in ("left", "right")
        ]
        yield from _ended(hosts)
        return
    number = next(_NUMBERS) % 250  # the last one's cables take a while to be gone
    bridge, centre = f"bank{number}", f"10.77.{number}.1"
    _ip("link", "add", bridge, "type", "bridge")
    try:
        _ip("address", "add", f"{centre}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        hosts = []
        for last, name in enumerate(("left", "right"), 2):
            others = [path for other, path in folders.items() if other != name]
            namespace = f"bank{number}-{name}"
            hosts.append(Host(name, folders[name], centre, namespace, others))
            _join(namespace, bridge, f"bank{number}-{last}", f"10.77.{number}.{last}/24")
        yield from _ended(hosts)
    finally:
        for name in ("left", "right"):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", f"bank{number}-{name}")
        _ip("link", "del", bridge)


def _ended(hosts: list[Host]) -> Iterator[tuple[Host, Host]]:
    left, right = hosts
    try:
        yield left, right
    finally:
        left.kill()
        right.kill()


def _join(namespace: str, bridge: str, cable: str, address: str) -> None:
    """Make a namespace with one cable to the bridge."""
    _ip("netns", "add", namespace)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("link", "set", cable, "master", bridge)
    _ip("link", "set", cable, "up")
    for arguments in (
        ["address", "add", address, "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["link", "set", "lo", "up"],
    ):
        _ip("-n", namespace, *arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
