"""From a notice to words: a subject, a text and an HTML page. Pure but for the templates."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from bank_pipeline.domain.notices import NoticeKind, one_line


@dataclass(frozen=True)
class Message:
    """What is sent. `subject` is one line; `text` and `html` say the same."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Renewal:
    """How a consent is renewed: the page for it, else the command."""

    url: str | None
    command: str


def render(
    kind: NoticeKind,
    payload: Mapping[str, Any],
    *,
    told_at: datetime,
    renewal: Renewal | None,
    connection_id: str | None,
) -> Message:
    """Put a notice into words. Foreign texts in it stay one line each, and mean no markup."""
    facts = _plain(dict(payload))
    facts |= {"told_at": told_at, "renewal": renewal, "connection_id": connection_id}
    text = _templates.get_template(f"{kind.value}.txt").render(facts)
    subject, _, body = text.strip().partition("\n")
    html = _templates.get_template(f"{kind.value}.html").render(facts | {"heading": subject})
    return Message(one_line(subject), _BLANKS.sub("\n\n", body.strip()) + "\n", html)


_BLANKS: Final = re.compile(r"\n{3,}")


def _plain(value: Any) -> Any:  # noqa: ANN401 -- JSON
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _money(amount: str, currency: str | None, *, signed: bool = False) -> str:
    number = Decimal(amount)
    places = max(2, -int(number.as_tuple().exponent))
    return f"{number:{'+' if signed else ''},.{places}f} {currency or ''}".rstrip()


def _account(facts: Mapping[str, Any]) -> str:
    """Name an account by its type and last digits: the bank's own name may be a person's."""
    words = (facts["type"] or "").replace("_", " ") or "an"
    name = words if words.endswith(("card", "loan", "mortgage")) else f"{words} account"
    name = "another account" if words in {"an", "other"} else name
    digits = f" ending {facts['digits']}" if facts.get("digits") else ""
    return f"{name[0].upper()}{name[1:]}{digits}"


def _day(moment: str | datetime) -> str:
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{found.day} {found:%B %Y}"


def _moment(moment: str | datetime) -> str:
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{found.day} {found:%B %Y, %H:%M} UTC"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


_CAUSES: Final = {
    "transient": "the bank or its data service does not answer properly",
    "rate_limited": "the bank or its data service asks us to slow down",
    "cursor_rejected": "the data service lost its place in the changes",
    "account_gone": "an account is closed or no longer shared",
    "account_blocked": "the bank does not give data of an account for now",
    "product_unsupported": "the bank does not offer this data",
    "window_too_wide": "the bank gives less history than we ask for",
    "payload": "the data that came does not have its documented form",
}


def _cause(kind: str) -> str:
    return _CAUSES.get(kind, "something unforeseen went wrong")


def _outcome(facts: Mapping[str, Any]) -> str:
    """Say how far an account was read."""
    if facts["trouble"] is not None:
        return f"not read ({facts['trouble']})"
    return "read" if facts["covered_to"] is None else f"read up to {_day(facts['covered_to'])}"


def _build() -> Environment:
    templates = Environment(
        loader=PackageLoader("bank_pipeline.channels", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (_money, _account, _day, _moment, _count, _cause, _outcome)
    templates.filters |= {one.__name__.lstrip("_"): one for one in filters}
    return templates


_templates: Final = _build()
