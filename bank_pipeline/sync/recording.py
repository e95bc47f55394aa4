"""Calls that belong to no sync, such as those of a link, are recorded too."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa

from bank_pipeline.providers.metering import CallMeter, EndedCall, PlannedCall, metered_by
from bank_pipeline.storage.calls import ANSWERED, FAILED, CallResult, NewCall, insert_ended_calls
from bank_pipeline.sync.context import Clock, SyncContext

_P = ParamSpec("_P")
_Result = TypeVar("_Result")
_OK: Final = range(200, 300)
_log: Final = logging.getLogger(__name__)


class CallLog(CallMeter):
    """
    Grants every call, and remembers how it ended. Its calls are nobody's counted ones.

    They name no account either: an erasure would not find them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ended: list[tuple[NewCall, CallResult]] = []

    def begin(self, call: PlannedCall) -> NewCall:
        """Grant it."""
        subject = call.subject
        return NewCall(
            provider=call.provider,
            operation=call.operation,
            connection_id=None,
            sync_run_id=None,
            account_external_id=None,
            scope=subject.scope if subject else None,
            is_scheduled=False,
            is_counted=False,
            called_at=self._clock(),
        )

    def end(self, ticket: object, ended: EndedCall) -> None:
        """Remember how it ended."""
        assert isinstance(ticket, NewCall), "what `begin` returned"
        self.ended.append((ticket, to_result(ended, is_counted=False, now=self._clock())))


def to_result(ended: EndedCall, *, is_counted: bool, now: datetime) -> CallResult:
    """Return what is kept of a call that has ended."""
    quota = ended.facts.quota
    resets_in = quota.resets_in if quota else None
    return CallResult(
        outcome=ANSWERED if is_answered(ended) else FAILED,
        is_counted=is_counted,
        calls_left=quota.calls_left if quota else None,
        resets_at=None if resets_in is None else now + resets_in,
        http_status=ended.status,
        error_code=ended.facts.error_code,
        request_id=ended.facts.request_id,
        duration_ms=ended.duration_ms,
    )


def is_success(ended: EndedCall) -> bool:
    """Say whether a call was a success at the provider, which counts it, read or not."""
    return ended.status in _OK


def is_answered(ended: EndedCall) -> bool:
    """Say whether its answer came in full, too."""
    return is_success(ended) and ended.facts.error_code is None


def recorded(
    use_case: Callable[Concatenate[SyncContext, _P], _Result],
) -> Callable[Concatenate[SyncContext, _P], _Result]:
    """Write the calls of a use case when it has ended, however it ended."""

    @wraps(use_case)
    def run(context: SyncContext, /, *args: _P.args, **named: _P.kwargs) -> _Result:
        log = CallLog(context.clock)
        try:
            with metered_by(log):
                return use_case(context, *args, **named)
        finally:
            _write(context, log)

    return run


def _write(context: SyncContext, log: CallLog) -> None:
    """Write what was called; what came of it counts for more than its record."""
    if not log.ended:
        return
    try:
        with context.engine.begin() as db:
            insert_ended_calls(db, log.ended)
    except sa.exc.SQLAlchemyError as error:
        _log.warning("%d calls not recorded: %s", len(log.ended), type(error).__name__)
