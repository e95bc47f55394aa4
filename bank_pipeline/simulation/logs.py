"""Listens to every log line of every level, and looks for what must never be in one."""

import base64
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.installation import KEY, Installation

CANARY: Final = "canary-1f0d9c"
_WORDS_MIN: Final = 6  # shorter names are in many words
_BLOCK: Final = 4_000  # lines that are searched at once


class Listener(logging.Handler):
    """Keep lines until they are searched; each is kept whole, with its arguments."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.count += 1
        self.lines.append(f"{record.name} {record.args!r} {self.format(record)}")


class LogChecker:
    """Search what a listener heard for the secrets of an installation, as of each search."""

    def __init__(self, listener: Listener, findings: Findings) -> None:
        self._listener = listener
        self._findings = findings

    def search(self, place: Installation) -> None:
        """Search the lines since the last search, and forget them."""
        lines, self._listener.lines = self._listener.lines, []
        self._findings.look(Checker.SECRET_IN_LOG, len(lines))
        if not lines:
            return
        text = "\n".join(lines)
        for name, secret in secrets_of(place):
            for form in forms_of(secret):
                at = text.find(form)
                if at >= 0:
                    line = next(one for one in lines if form in one)
                    logger = line.partition(" ")[0]
                    self._findings.add(Checker.SECRET_IN_LOG, f"logger {logger}", name)
                    break

    def prove(self, place: Installation) -> None:
        """Plant a canary and find it: a search that finds nothing must be able to find."""
        logging.getLogger("bank_pipeline.simulation").debug("planted: %s", CANARY)
        heard = any(CANARY in line for line in self._listener.lines)
        if not heard:
            words = "the search did not find what was planted"
            self._findings.add(Checker.SECRET_IN_LOG, "canary", words)
        self._listener.lines = [line for line in self._listener.lines if CANARY not in line]
        self.search(place)


def secrets_of(place: Installation) -> Iterator[tuple[str, str]]:
    """Yield what must not be in a log by what it is: keys, tokens, IBANs, names."""
    sandbox = place.sandbox
    yield "our key", base64.b64encode(KEY).decode()
    yield "the secret of Plaid", sandbox.plaid.options.secret
    yield "the secret of GoCardless", place.gocardless.state.settings.secret_key
    yield "the key of Enable Banking", place.enable_banking.private_key_pem.splitlines()[1]
    for item in sandbox.plaid.items:
        yield "a token of Plaid", item.access_token
    for enrollment in place.teller.enrollments:
        yield "a token of Teller", enrollment.token
    for account in place.world.accounts.values():
        if account.iban is not None:
            yield "an IBAN", account.iban
    for login in place.world.logins.values():
        if len(login.person_name) >= _WORDS_MIN:
            yield "a name", login.person_name


def forms_of(secret: str) -> Iterable[str]:
    """Return every form in which a secret could stand in a log."""
    plain = secret.encode()
    return {
        secret,
        base64.b64encode(plain).decode().rstrip("="),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }


@contextmanager
def listening() -> Iterator[Listener]:
    """Hear what an operator hears who sets everything to DEBUG, while the context lasts."""
    listener = Listener()
    root = logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        yield listener
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
