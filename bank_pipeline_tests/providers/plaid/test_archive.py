"""What is kept of the answers, above all of those that cannot be read."""

from inspect import signature
from typing import Any

import pytest

from bank_pipeline.errors import FeedMovedError, PayloadError, TransientError
from bank_pipeline.providers.plaid import client as client_module
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline_tests.providers.plaid.builders import (
    TOKEN,
    Archived,
    error_body,
    page,
    transaction,
)
from bank_pipeline_tests.providers.stub import Reply, Stub, resets

MUTATION = Reply(error_body("TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"), 400)
BROKEN = [b"<html>", b"", b"[]", b'{"n": NaN}', b'{"n": 1e99999999999999999999}', b'{"item": 5}']


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("fetch", ["fetch_status", "fetch_accounts", "fetch_changes"])
def test_an_answer_that_cannot_be_read_is_there_to_look_into(
    stub: Stub, plaid: PlaidProvider, archived: Archived, fetch: str, body: bytes
) -> None:
    stub.plays(Reply(body))
    arguments = {"cursor": None} if fetch == "fetch_changes" else {}
    with pytest.raises((PayloadError, TransientError)):
        getattr(plaid, fetch)(TOKEN, archive=archived, **arguments)
    assert {answer.body for answer in archived} == {body}
    assert len({answer.digest for answer in archived}) == 1


@pytest.mark.parametrize(
    "broken",
    [
        page(added=None),
        page(has_more="no"),
        page(has_more=True, next_cursor="a"),
        page(next_cursor="a\0b"),
        page(next_cursor=chr(0xD800)),
    ],
)
def test_of_a_loop_that_broke_only_the_page_that_broke_it_is_archived(
    stub: Stub, plaid: PlaidProvider, archived: Archived, broken: dict[str, Any]
) -> None:
    stub.plays(
        Reply(page(added=[transaction(1)], has_more=True, next_cursor="a")),
        Reply(broken | {"request_id": "broken1"}),
    )
    with pytest.raises(PayloadError) as caught:
        plaid.fetch_changes(TOKEN, cursor=None, archive=archived)
    assert [answer.request_id for answer in archived] == ["broken1"]
    assert caught.value.request_id == "broken1"


def test_pages_that_could_be_read_are_not_archived_when_the_wire_fails(
    stub: Stub, plaid: PlaidProvider, archived: Archived
) -> None:
    stub.plays(Reply(page(has_more=True, next_cursor="a")), resets, MUTATION)
    with pytest.raises(FeedMovedError):
        plaid.fetch_changes(TOKEN, cursor=None, archive=archived)
    assert archived == []


def test_a_page_is_archived_though_reading_it_finds_a_bug_of_ours(
    stub: Stub, plaid: PlaidProvider, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "parse_model", None)
    stub.plays(Reply(page()))
    with pytest.raises(TypeError):
        plaid.fetch_changes(TOKEN, cursor=None, archive=archived)
    assert len(archived) == 1


def test_only_operations_that_return_no_credential_can_archive() -> None:
    archiving = {
        name
        for name, method in vars(PlaidProvider).items()
        if callable(method) and "archive" in signature(method).parameters
    }
    assert archiving == {"fetch_status", "fetch_accounts", "fetch_changes"}
