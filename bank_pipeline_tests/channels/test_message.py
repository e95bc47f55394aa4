"""Notices in words: every kind in text and HTML, and no foreign text that means anything."""

import re
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from bank_pipeline.channels.message import Renewal, render
from bank_pipeline.domain.notices import NoticeKind
from bank_pipeline.sync.notice_targets import made_up

HOSTILE = '<img src=x onerror="alert(1)">\r\nBcc: eve@example.com'


class Tags(HTMLParser):
    """Which tags a page opens, and that it closes them."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.unclosed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 -- the parser's
        self.opened.append(tag)
        if tag not in {"meta", "br"}:
            self.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag


def tags_of(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    return tags


@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("renewal_url", [None, "https://bank.example.com/{connection_id}"])
def test_every_kind_has_a_subject_a_text_and_a_page(
    kind: NoticeKind, renewal_url: str | None, now: datetime
) -> None:
    message = made_up(kind, now=now, renewal_url=renewal_url)

    assert len(message.subject) > 20
    assert "\n" not in message.subject
    assert len(message.text) > 60
    assert not re.search(r"[{}]|None|\n{3}", message.text)
    assert "None" not in message.html
    assert tags_of(message.html).unclosed == []
    assert message.subject.removeprefix("Test: ").split()[0] in message.html


def test_a_foreign_text_is_no_markup_and_no_header(now: datetime) -> None:
    """A bank's name, and a code of a provider, come from outside."""
    facts: dict[str, Any] = {"ends_at": now.isoformat(), "days_left": 0, "provider": "plaid"}
    message = render(
        NoticeKind.EXPIRING,
        {**facts, "institution": HOSTILE},
        told_at=now,
        renewal=Renewal(url='https://x.example/"><script>', command="bank-pipeline link"),
        connection_id="id",
    )

    assert "img" not in tags_of(message.html).opened
    assert "script" not in tags_of(message.html).opened
    assert "&lt;img" in message.html
    assert "\n" not in message.subject
    assert "\r" not in message.subject + message.text


def test_an_expiring_consent_tells_the_way_to_renew_it(now: datetime) -> None:
    page = made_up(NoticeKind.EXPIRING, now=now, renewal_url="https://b.example/{connection_id}/go")
    command = made_up(NoticeKind.EXPIRING, now=now, renewal_url=None)

    link = "https://b.example/00000000-0000-7000-8000-000000000000/go"
    assert f'href="{link}"' in page.html
    assert link in page.text
    assert "bank-pipeline link plaid --renew 00000000" in command.text
    assert "bank-pipeline link plaid --renew 00000000" in command.html


@pytest.mark.parametrize(
    ("left", "words"), [(0, "today"), (1, "tomorrow"), (14, "in 14 days"), (None, "soon")]
)
def test_the_subject_says_when(left: int | None, words: str, now: datetime) -> None:
    ends_at = None if left is None else now.isoformat()
    message = render(
        NoticeKind.EXPIRING,
        {"ends_at": ends_at, "days_left": left, "institution": "First Bank"},
        told_at=now,
        renewal=Renewal(None, "bank-pipeline link"),
        connection_id="id",
    )

    assert message.subject == f"The connection to First Bank ends {words}"


@pytest.mark.parametrize("source", ["check", "tick", "run", "webhooks"])
def test_an_alert_names_the_same_thing_in_its_text_and_on_its_page(
    source: str, now: datetime
) -> None:
    """The name of a job, and not the mail's own subject in its place."""
    facts = {
        "source": source,
        "subject": "prune_job",
        "cause": "OSError",
        "run_id": "r",
        "count": 2,
    }
    message = render(
        NoticeKind.OPERATOR_ALERT,
        {**facts, "opened_at": now.isoformat()},
        told_at=now,
        renewal=None,
        connection_id=None,
    )

    assert f">{message.subject}</h1>" in message.html
    assert "<strong>prune_job</strong>" in message.html
