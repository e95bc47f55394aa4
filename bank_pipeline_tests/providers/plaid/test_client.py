"""The wire: what a broken network, a proxy or Plaid itself may do to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from traceback import format_exception
from typing import Any

import pytest

from bank_pipeline.errors import (
    ConfigurationError,
    CursorRejectedError,
    FeedMovedError,
    PayloadError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.answers import fold_pages
from bank_pipeline.providers.plaid import client as client_module
from bank_pipeline.providers.plaid import transport
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.retry import Retry
from bank_pipeline_tests.providers.plaid.builders import (
    SECRET,
    TOKEN,
    Archived,
    build_provider,
    error_body,
    page,
    transaction,
)
from bank_pipeline_tests.providers.stub import (
    Fault,
    Reply,
    Stub,
    drips,
    hangs,
    resets,
    serve,
    truncates,
)

MUTATION = Reply(error_body("TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"), 400)


@contextmanager
def built(stub: Stub, **settings: Any) -> Iterator[PlaidProvider]:
    provider = build_provider(stub.url, **settings)
    yield provider
    provider.close()


def cursors(stub: Stub) -> list[str]:
    return [request.body.get("cursor", "") for request in stub.received]


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        (resets, TransientError, "NO_ANSWER_ProtocolError"),
        (truncates, TransientError, "NO_ANSWER_ProtocolError"),
        (Reply(b"<html>Welcome</html>"), TransientError, "NOT_JSON"),
        (Reply(b""), TransientError, "NOT_JSON"),
        (Reply(b"", 204), TransientError, "NOT_JSON"),
        (Reply(b'{"added": ['), TransientError, "NOT_JSON"),
        (Reply(b"\xff\xfe\xfa{}"), TransientError, "NOT_JSON"),
        (Reply(b"[]"), PayloadError, "NOT_AN_OBJECT"),
        (Reply(b'{"amount": NaN}'), PayloadError, "NOT_PLAIN_JSON"),
        (Reply(b'{"amount": -Infinity}'), PayloadError, "NOT_PLAIN_JSON"),
        (Reply(b'{"a":' + b"[" * 200_000), PayloadError, "NOT_PLAIN_JSON"),
        (Reply(b"<html>Bad Gateway</html>", 502), TransientError, "HTTP_502"),
        (Reply(b"<html>Slow down</html>", 429), RateLimitedError, "HTTP_429"),
        (Reply(b"<html>Forbidden</html>", 403), ConfigurationError, "HTTP_403"),
        (Reply({"unrelated": 1}), PayloadError, "SHAPE added: missing; modified: missing; "),
        (Reply(page(next_cursor=None)), PayloadError, "SHAPE next_cursor: string_type"),
        (Reply(page(added=None)), PayloadError, "SHAPE added: list_type"),
    ],
)
def test_every_broken_answer_is_one_of_our_errors(
    stub: Stub,
    plaid: PlaidProvider,
    archived: Archived,
    reply: Reply | Fault,
    error: type[ProviderError],
    code: str,
) -> None:
    stub.plays(reply)

    with pytest.raises(error) as caught:
        plaid.fetch_changes(TOKEN, cursor=None, archive=archived)

    assert type(caught.value) is error
    assert caught.value.code.startswith(code)
    answered = isinstance(reply, Reply) and reply.status in (200, 204)
    assert [type(answer.body) for answer in archived] == [bytes] * answered
    assert all(answer.operation == "transactions/sync" for answer in archived)


@pytest.mark.parametrize("silence", [hangs, drips])
def test_silence_ends_with_the_timeout(stub: Stub, silence: Fault) -> None:
    stub.plays(silence)
    once = Retry(attempts_max=1, total_max_s=1.0)
    with (
        built(stub, timeout_s=0.2, retry=once) as plaid,
        pytest.raises(TransientError, match="TIMEOUT"),
    ):
        plaid.fetch_status(TOKEN, archive=Archived())


def test_nobody_listening_is_transient() -> None:
    with serve() as gone:
        pass
    with built(gone) as plaid, pytest.raises(TransientError, match="NO_ANSWER"):
        plaid.fetch_status(TOKEN, archive=Archived())


def test_a_redirect_is_never_followed(stub: Stub, plaid: PlaidProvider) -> None:
    """Following it would hand the secret to whoever it points to."""
    with serve() as elsewhere:
        elsewhere.plays(Reply(page()))
        for status in (301, 302, 303, 307, 308):
            stub.plays(Reply(b"", status, {"Location": f"{elsewhere.url}/transactions/sync"}))
            with pytest.raises(ConfigurationError, match=f"HTTP_{status}"):
                plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
        assert elsewhere.received == []


def test_an_endless_answer_is_cut_off(
    stub: Stub, plaid: PlaidProvider, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ANSWER_BYTES_MAX", 1000)
    monkeypatch.setattr(transport, "HEAD_BYTES", 100)
    stub.plays(Reply(b"{" + b" " * 5000 + b"}"))
    with pytest.raises(PayloadError, match="ANSWER_TOO_LARGE"):
        plaid.fetch_changes(TOKEN, cursor=None, archive=archived)
    assert [answer.body for answer in archived] == [b"{" + b" " * 99]


def test_errors_never_hold_secrets_or_plaid_texts(stub: Stub, plaid: PlaidProvider) -> None:
    message = f"{TOKEN.get_secret_value()} {SECRET} of Jane Doe"
    body = error_body(message, error_message=message, request_id=message)
    for reply in (Reply(body, 400), Reply(page(next_cursor=[message])), Reply(message.encode())):
        stub.plays(reply)
        with pytest.raises(ProviderError) as caught:
            plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
        text = "".join(format_exception(caught.value)) + repr(vars(caught.value))
        assert "hush" not in text
        assert "access-sandbox" not in text
        assert "Jane" not in text


def test_a_request_the_sdk_refuses_is_our_fault_and_shows_no_value(stub: Stub) -> None:
    with built(stub) as plaid, pytest.raises(ConfigurationError, match="REQUEST_ApiTypeError"):
        plaid.fetch_institution(12345)  # type: ignore[arg-type]  # what a bug would pass
    assert stub.received == []


def test_requests_carry_keys_in_headers_and_ask_for_whole_pages(
    stub: Stub, plaid: PlaidProvider
) -> None:
    stub.plays(Reply(page()))

    plaid.fetch_changes(TOKEN, cursor="cursor-0", archive=Archived())

    request = stub.received[0]
    assert request.path == "/transactions/sync"
    assert request.headers["plaid-client-id"] == "client-1"
    assert request.headers["plaid-secret"] == SECRET
    assert request.body == {
        "access_token": TOKEN.get_secret_value(),
        "cursor": "cursor-0",
        "count": 500,
        "options": {
            "include_original_description": True,
            "personal_finance_category_version": "v2",
        },
    }


def test_amounts_stay_exact(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply(b'{"item": {"item_id": "i", "error": null}, "n": 0.1000000000000000000012}'))
    archived = Archived()
    plaid.fetch_status(TOKEN, archive=archived)
    parsed = client_module.to_answer("item/get", archived[0].body).body
    assert parsed["n"] == Decimal("0.1000000000000000000012")


def test_pages_follow_each_other_and_all_are_archived(
    stub: Stub, plaid: PlaidProvider, archived: Archived
) -> None:
    stub.plays(
        Reply(page(added=[transaction(1)], has_more=True, next_cursor="a")),
        Reply(page(added=[transaction(2)], next_cursor="b")),
    )

    changes = plaid.fetch_changes(TOKEN, cursor="start", archive=archived)

    assert cursors(stub) == ["start", "a"]
    assert [row.external_id for row in changes.delta.upserts] == ["transaction-1", "transaction-2"]
    assert (changes.cursor_before, changes.cursor_after) == ("start", "b")
    assert (changes.calls_count, changes.pages_count, len(archived)) == (2, 2, 2)
    assert plaid.to_changes(archived, cursor_before="start") == changes


def test_a_long_update_is_left_to_be_read_page_by_page_as_often_as_wanted(
    stub: Stub, plaid: PlaidProvider, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it says besides its rows is read at once; one bad row spoils no other."""
    rows = [transaction(0), transaction(1, amount="much"), transaction(2)]
    stub.plays(
        *(
            Reply(page(added=[row], has_more=number < 2, next_cursor=f"c{number}"))
            for number, row in enumerate(rows)
        )
    )
    monkeypatch.setattr("bank_pipeline.providers.plaid.provider.HELD_PAGES_MAX", 2)

    changes = plaid.fetch_changes(TOKEN, cursor="start", archive=archived)

    assert changes.long is not None
    whole = plaid.to_changes(archived, cursor_before="start")
    held = replace(changes, long=None, delta=whole.delta, quarantined=whole.quarantined)
    assert held == whole
    for _ in range(2):
        pages = [changes.long.read(number) for number in range(len(changes.long))]
        assert fold_pages(pages) == whole.delta
        assert [row for one in pages for row in one.quarantined] == [*whole.quarantined]


@pytest.mark.parametrize("odd_page", [0, 1, 2])
def test_text_that_no_database_holds_is_seen_on_whatever_page(
    stub: Stub, plaid: PlaidProvider, archived: Archived, odd_page: int
) -> None:
    """Pages are looked through before a row of them is read, those that waited, too."""
    rows = [transaction(number) for number in range(3)]
    rows[odd_page] = transaction(odd_page, transaction_id="a\0b")
    stub.plays(
        *(
            Reply(page(added=[row], has_more=number < 2, next_cursor=f"c{number}"))
            for number, row in enumerate(rows)
        )
    )

    changes = plaid.fetch_changes(TOKEN, cursor=None, archive=archived)

    assert [len(changes.delta.upserts), len(changes.quarantined)] == [2, 1]
    assert plaid.to_changes(archived, cursor_before=None) == changes


@pytest.mark.parametrize(
    "failure",
    [
        MUTATION,
        Reply(error_body("INTERNAL_SERVER_ERROR"), 500),
        Reply(b"<html>", 502),
        Reply(b"<html>"),
        resets,
        Reply(
            error_body(
                "INVALID_FIELD", error_type="INVALID_REQUEST", error_message="cursor is stale"
            ),
            400,
        ),
    ],
)
def test_a_failure_in_the_middle_starts_again_from_the_first_cursor(
    stub: Stub, plaid: PlaidProvider, archived: Archived, failure: Reply | Fault
) -> None:
    stub.plays(
        Reply(page(added=[transaction(7)], has_more=True, next_cursor="a")),
        failure,
        Reply(page(added=[transaction(8)], has_more=True, next_cursor="b")),
        Reply(page(added=[transaction(9)], next_cursor="c")),
    )

    changes = plaid.fetch_changes(TOKEN, cursor="start", archive=archived)

    assert cursors(stub) == ["start", "a", "start", "b"]
    assert {row.external_id for row in changes.delta.upserts} == {"transaction-8", "transaction-9"}
    assert (changes.calls_count, changes.pages_count, len(archived)) == (4, 2, 2)


def test_a_feed_that_never_rests_is_given_up(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(MUTATION)
    with pytest.raises(FeedMovedError):
        plaid.fetch_changes(TOKEN, cursor="start", archive=Archived())
    assert len(stub.received) == 1 + client_module.RESTARTS_MAX


def test_a_rate_limit_is_planned_and_not_slept_on(stub: Stub) -> None:
    waits: list[float] = []
    retry = Retry(attempts_max=3, total_max_s=30.0, sleep=waits.append)
    stub.plays(
        Reply(page(has_more=True, next_cursor="a")),
        Reply(error_body("TRANSACTIONS_SYNC_LIMIT", error_type="RATE_LIMIT_EXCEEDED"), 429),
    )
    with built(stub, retry=retry) as plaid, pytest.raises(RateLimitedError) as caught:
        plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
    assert caught.value.retry_after_s == 60.0
    assert waits == []
    assert len(stub.received) == 2


def test_a_rate_limit_of_seconds_is_waited_for(stub: Stub) -> None:
    waits: list[float] = []
    retry = Retry(attempts_max=3, total_max_s=30.0, sleep=waits.append)
    stub.plays(
        Reply(error_body("ITEM_GET_LIMIT"), 429, {"Retry-After": "2"}),
        Reply({"item": {"item_id": "i", "error": None}}),
    )
    with built(stub, retry=retry) as plaid:
        plaid.fetch_status(TOKEN, archive=Archived())
    assert waits == [2.0]


def test_no_wait_inside_a_call_is_long(stub: Stub) -> None:
    waits: list[float] = []
    retry = Retry(attempts_max=3, total_max_s=30.0, sleep=waits.append)
    stub.plays(Reply(error_body("INTERNAL_SERVER_ERROR"), 500))
    with built(stub, retry=retry) as plaid:
        with pytest.raises(TransientError):
            plaid.fetch_accounts(TOKEN, archive=Archived())
        assert len(waits) == 2
        with pytest.raises(TransientError):
            plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
    assert max(waits) <= 5.0


@pytest.mark.parametrize("code", ["ITEM_LOGIN_REQUIRED", "INSTITUTION_DOWN", "PLANNED_MAINTENANCE"])
def test_what_cannot_pass_in_seconds_is_not_tried_again(
    stub: Stub, plaid: PlaidProvider, code: str
) -> None:
    stub.plays(Reply(error_body(code), 400))
    with pytest.raises((ReauthRequiredError, TransientError)):
        plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
    assert len(stub.received) == 1


def test_a_lost_cursor_is_told_from_a_bad_request(stub: Stub, plaid: PlaidProvider) -> None:
    body = error_body(
        "INVALID_FIELD",
        error_type="INVALID_REQUEST",
        error_message="cursor not associated with access_token",
    )
    stub.plays(Reply(body, 400))
    with pytest.raises(CursorRejectedError):
        plaid.fetch_changes(TOKEN, cursor="foreign", archive=Archived())
    with pytest.raises(ConfigurationError):
        plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())


@pytest.mark.parametrize("cursor", ["start", ""])
def test_a_feed_that_stands_still_is_a_failure(
    stub: Stub, plaid: PlaidProvider, cursor: str
) -> None:
    stub.plays(Reply(page(has_more=True, next_cursor=cursor)))
    with pytest.raises(PayloadError, match="CURSOR_STUCK"):
        plaid.fetch_changes(TOKEN, cursor="start", archive=Archived())
    assert len(stub.received) == 1


def test_a_feed_that_runs_in_a_circle_is_a_failure(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(
        Reply(page(has_more=True, next_cursor="a")),
        Reply(page(has_more=True, next_cursor="b")),
        Reply(page(has_more=True, next_cursor="a")),
    )
    with pytest.raises(PayloadError, match="CURSOR_STUCK"):
        plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())


def test_too_many_pages_are_a_failure_and_many_are_paced(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGES_MAX", 4)
    monkeypatch.setattr(client_module, "PAGES_AT_ONCE", 2)
    waits: list[float] = []
    retry = Retry(attempts_max=3, total_max_s=30.0, sleep=waits.append)
    stub.plays(*(Reply(page(has_more=True, next_cursor=f"c{n}")) for n in range(9)))
    with built(stub, retry=retry) as plaid, pytest.raises(PayloadError, match="PAGES_MAX"):
        plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
    assert waits == [client_module.PAGE_PACE_S] * 2
    assert len(stub.received) == 4
