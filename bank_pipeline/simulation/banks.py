"""What the simulated providers know of a connection, and what can be done to it there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.enable_banking.sessions import SessionStatus
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.plaid.truth import truth_of
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.members import Member

_LOCKED: Final = "credentials_invalid"


def truth(place: Installation, provider: Provider, external_id: str) -> Mapping[str, Any]:
    """Return what a pipeline that did everything right would hold of a connection now."""
    if provider is Provider.PLAID:
        plaid = place.sandbox.plaid
        with plaid.lock:
            return truth_of(plaid, plaid.item(external_id))
    return place.sandbox.wings[provider.value].truth_of(external_id)


def is_broken(place: Installation, provider: Provider, external_id: str) -> bool:
    """Say whether the provider itself would refuse to serve the connection now."""
    told = truth(place, provider, external_id)
    return bool(told["removed"]) or told["error_code"] is not None


def subjects(place: Installation, member: Member) -> Sequence[str]:
    """Return what faults call the connection and its accounts."""
    external_id = member.external_ids[-1]
    if member.provider is Provider.PLAID:
        return [external_id]
    return [external_id, *truth(place, member.provider, external_id)["accounts"]]


def require_login(place: Installation, member: Member) -> bool:
    """Have the bank want its customer; return whether this provider knows such a thing."""
    external_id = member.external_ids[-1]
    if is_broken(place, member.provider, external_id):
        return False
    if member.provider is Provider.PLAID:
        _break_item(place, external_id, "ITEM_LOGIN_REQUIRED")
    elif member.provider is Provider.TELLER:
        with place.teller.lock:
            place.teller.disconnect(place.teller.enrollments.get(external_id), _LOCKED)
    else:
        return False
    return True


def expire(place: Installation, member: Member) -> bool:
    """End the consent as time does; return whether this provider knows such a thing."""
    external_id = member.external_ids[-1]
    if is_broken(place, member.provider, external_id):
        return False
    now = place.world.clock.now()
    match member.provider:
        case Provider.PLAID:
            _break_item(place, external_id, "ITEM_LOGIN_REQUIRED", "OAUTH_CONSENT_EXPIRED")
        case Provider.GOCARDLESS:
            state = place.gocardless.state
            with state.lock:
                state.agreements[state.requisitions[external_id].agreement_id].ended_at = now
        case Provider.ENABLE_BANKING:
            with place.enable_banking.lock:
                session = place.enable_banking.sessions.find(external_id)
                session.end(SessionStatus.EXPIRED, now)
        case _:
            return False
    return True


def revoke(place: Installation, member: Member) -> bool:
    """End the consent as customers do at their bank."""
    external_id = member.external_ids[-1]
    if is_broken(place, member.provider, external_id):
        return False
    now = place.world.clock.now()
    match member.provider:
        case Provider.PLAID:
            _break_item(place, external_id, "USER_PERMISSION_REVOKED")
        case Provider.GOCARDLESS:
            with place.gocardless.state.lock:
                place.gocardless.state.requisitions[external_id].revoked_at = now
        case Provider.ENABLE_BANKING:
            with place.enable_banking.lock:
                session = place.enable_banking.sessions.find(external_id)
                session.end(SessionStatus.REVOKED, now)
        case _:
            with place.teller.lock:
                enrollment = place.teller.enrollments.get(external_id)
                place.teller.disconnect(enrollment, "enrollment_inactive")
    return True


def churn(place: Installation, member: Member) -> bool:
    """Let Plaid lose track of an account: its place is taken by one with a new id."""
    if member.provider is not Provider.PLAID:
        return False
    plaid = place.sandbox.plaid
    with plaid.lock:
        item = _item(place, member.external_ids[-1])
        grants = item.active_grants()
        if item.removed or item.error is not None or not grants:
            return False
        plaid.items.churn(item, grants[0].account_id, place.world.clock.now())
    return True


def take_quota(place: Installation, member: Member) -> bool:
    """Let others spend what is left of what the bank allows an account in a day."""
    external_id, now = member.external_ids[-1], place.world.clock.now()
    if member.provider is Provider.GOCARDLESS:
        state = place.gocardless.state
        with state.lock:
            limit = state.settings.daily_limit or 0
            for account in state.requisitions[external_id].accounts:
                for _ in range(state.daily.level(account.id, "transactions", limit, now).remaining):
                    state.daily.spend(account.id, "transactions", now)
        return True
    if member.provider is Provider.ENABLE_BANKING:
        wing = place.enable_banking
        with wing.lock:
            session = wing.sessions.find(external_id)
            for grant in session.grants:
                key = (*session.aspsp.key, grant.world_account_id, "transactions")
                wing.quota.spend(key, now, cost=wing.quota.per_day or 0)
        return True
    return False


def look(place: Installation) -> None:
    """Let the providers see what the world brought, and announce it."""
    place.sandbox.plaid.look()
    place.teller.look()


def _break_item(place: Installation, item_id: str, code: str, reason: str | None = None) -> None:
    plaid = place.sandbox.plaid
    with plaid.lock:
        item = _item(place, item_id)
        plaid.announcer.break_item(item, code, place.world.clock.now(), reason=reason)


def _item(place: Installation, item_id: str) -> Item:
    return place.sandbox.plaid.item(item_id)
