"""
What Teller Connect does for a customer: a new enrollment, or the repair of one.

Source: https://teller.io/docs/guides/connect
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bank_pipeline.sandbox.teller.enrollments import Enrollment
from bank_pipeline.sandbox.teller.state import TellerState


@dataclass(frozen=True)
class Choice:
    """
    What a customer decided. `accounts` None shares all of them; ids are the world's.

    `enrollment_id` repairs that enrollment, whose `login_id` need not be given.
    """

    login_id: str | None = None
    accounts: Iterable[str] | None = None
    enrollment_id: str | None = None
    nonce: str | None = None


def connect(teller: TellerState, choice: Choice) -> dict[str, Any]:
    """
    Carry out the choice and return what `onSuccess` gets.

    A login, account or enrollment that there is not, or that was removed, is a KeyError.
    """
    with teller.lock:
        book, now = teller.enrollments, teller.clock.now()
        if choice.enrollment_id is None:
            enrollment = book.enroll(choice.login_id or "", choice.accounts, now)
            teller.announcer.begin(enrollment, now)
        else:
            enrollment = book.get(choice.enrollment_id)
            if enrollment.removed_at or choice.login_id not in (None, enrollment.login_id):
                raise KeyError(choice.enrollment_id)
            book.restore(enrollment, choice.accounts, now)
        book.grants(enrollment, now)
        return _payload(teller, enrollment, choice.nonce)


def offers(teller: TellerState, enrollment_id: str | None) -> Sequence[dict[str, Any]]:
    """Return who can connect: everybody, or the owner of an enrollment that is repaired."""
    with teller.lock:
        book = teller.enrollments
        logins = [book.get(enrollment_id).login_id] if enrollment_id else book.logins()
        return [_offer(teller, login_id) for login_id in logins]


def _payload(teller: TellerState, enrollment: Enrollment, nonce: str | None) -> dict[str, Any]:
    payload = {
        "accessToken": enrollment.token,
        "user": {"id": enrollment.user_id},
        "enrollment": {
            "id": enrollment.enrollment_id,
            "institution": {"name": teller.bank_of(enrollment).name},
        },
    }
    if nonce is None:
        return payload
    signature = teller.signer.sign(nonce, enrollment, teller.options.environment)
    return {**payload, "signatures": [signature]}


def _offer(teller: TellerState, login_id: str) -> dict[str, Any]:
    login = teller.world.logins[login_id]
    return {
        "login": login.id,
        "person": login.person_name,
        "institution": teller.world.banks[login.bank_id].name,
        "accounts": [
            {"id": one.id, "name": one.name, "last_four": one.mask}
            for one in teller.enrollments.offered(login_id)
        ],
    }
