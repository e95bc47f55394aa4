"""Tell teams of consents that end soon: 14, 7, 3 and 1 days before, and on the day itself."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from bank_pipeline.domain.notices import EXPIRY_STEPS, NoticeKind, expiry_step
from bank_pipeline.storage.notices import (
    ExpiringConsent,
    Notice,
    insert_notices,
    load_expiring,
    load_known_keys,
)
from bank_pipeline.sync.context import SyncContext


def note_expiring(context: SyncContext) -> int:
    """
    Write the notices of expiring consents that are due by now; return how many are new.

    Asks what is due and not what passed since the last time, so that it may run late, twice or
    in two places: each step of each end is told once, and one that was missed is not made up
    for, because the next one says more. A warning that names no day is told once.
    """
    now = context.clock()
    today = now.astimezone(UTC).date()
    begin = datetime.combine(today, time(), UTC)
    with context.engine.begin() as db:
        ending = load_expiring(
            db, since=begin, until=begin + timedelta(days=EXPIRY_STEPS[0] + 1, microseconds=-1)
        )
        if not ending:
            return 0
        known = load_known_keys(db, NoticeKind.EXPIRING, [one.connection_id for one in ending])
        notices = [_to_notice(one, now) for one in ending]
        return insert_notices(
            db, [one for one in notices if one and one.dedupe_key not in known], now=now
        )


def _to_notice(consent: ExpiringConsent, now: datetime) -> Notice | None:
    payload: dict[str, Any] = {
        "institution": consent.institution_name,
        "provider": consent.provider,
        "ends_at": None,
        "days_left": None,
    }
    key = f"{consent.connection_id}:{consent.warned_at.isoformat()}"
    if consent.ends_at is not None:
        today = now.astimezone(UTC).date()
        ends_on = consent.ends_at.astimezone(UTC).date()
        step = expiry_step(ends_on, today)
        if step is None:
            return None
        payload |= {"ends_at": consent.ends_at.isoformat(), "days_left": (ends_on - today).days}
        key = f"{consent.connection_id}:{ends_on.isoformat()}:{step}"
    return Notice(consent.team_id, NoticeKind.EXPIRING, key, payload, consent.connection_id)
