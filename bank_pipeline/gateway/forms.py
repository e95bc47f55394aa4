"""Forms that browsers send: bounded, and only from pages of ours."""

import hmac
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from bank_pipeline.domain.visits import Visit
from bank_pipeline.gateway.bodies import read_bounded
from bank_pipeline.gateway.problems import Problem

FORM_BYTES_MAX: Final = 16 * 1024  # hundreds of ids fit; a link's result takes less than 1 kB
_SENDER: Final = "form_token"


class FormFields:
    """The fields of a form; one name may stand more than once."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str:
        """Return the first value of this name, blanks around it removed; empty without one."""
        return next((value.strip() for key, value in self._fields if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every value of this name."""
        return [value for key, value in self._fields if key == name]

    def as_dict(self) -> dict[str, str]:
        """Return the last value of each name."""
        return dict(self._fields)

    def check_sender(self, visit: Visit) -> None:
        """
        Make sure that a page of this session sent the form, not another site.

        Raises:
            Problem: 403, it carries no token of the session.
        """
        if not hmac.compare_digest(self.one(_SENDER).encode(), visit.form_token.encode()):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "this form is out of date: go back, load the page again, and repeat",
            )


async def read_form(request: Request) -> FormFields:
    """
    Read the form of a request.

    Raises:
        Problem: 413, it is longer than any of ours; 400, it cannot be text.
    """
    body = await read_bounded(request, bytes_max=FORM_BYTES_MAX)
    if body is None:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too long")
    if b"%00" in body or b"\x00" in body:  # no field of ours holds one, and no database takes it
        raise Problem(HTTPStatus.BAD_REQUEST, "the form cannot be read")
    return FormFields(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


Form = Annotated[FormFields, Depends(read_form)]
"""What a browser's form holds."""
