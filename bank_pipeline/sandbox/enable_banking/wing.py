"""The simulated Enable Banking as the server hosts it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from starlette.routing import Route

from bank_pipeline.sandbox.enable_banking.app import api_routes
from bank_pipeline.sandbox.enable_banking.control import control_routes
from bank_pipeline.sandbox.enable_banking.sessions import SessionStatus
from bank_pipeline.sandbox.enable_banking.simulator import State
from bank_pipeline.sandbox.enable_banking.truth import truth_of
from bank_pipeline.sandbox.wing import Wing


class EnableBanking(State, Wing):
    """
    One simulated Enable Banking; its base URL is the server's and `/enable_banking`.

    An application signs its tokens with `private_key_pem`, unless it was given another key.
    """

    name: ClassVar[str] = "enable_banking"

    def routes(self) -> Sequence[Route]:
        """Return the API and the consent page."""
        return api_routes(self)

    def control_routes(self) -> Sequence[Route]:
        """Return the switches; see `control` for what each does."""
        return control_routes(self)

    def start(self) -> None:
        """Begin nothing: Enable Banking sends no webhooks about accounts."""

    def stop(self) -> None:
        """Let go of hanging calls."""
        self.released.set()

    def settle(self) -> bool:
        """Return that nothing is due, as ever."""
        return True

    def truth_of(self, external_id: str) -> dict[str, Any]:
        """Describe a session by its `session_id`; see `Wing`."""
        with self.lock:
            return truth_of(self, self.sessions.find(external_id))

    def external_ids(self) -> Sequence[str]:
        """Return the sessions that were authorised and not deleted."""
        with self.lock:
            return [
                one.session_id
                for one in self.sessions
                if one.authorized_at is not None and one.status is not SessionStatus.CLOSED
            ]
