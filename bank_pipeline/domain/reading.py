"""
How the answers that a sync applied were asked for: all that reading them again takes. Pure.

A sync writes its readings in the transaction of its rows. So what was archived by a sync that
never came to an end, or by a loop over pages that was begun anew, is in no reading.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.window import DateWindow

AnswerKey = tuple[str, bytes]
"""
(operation, digest): names an answer within its connection.

What is stored has digests that only we can compute: by an answer's own, whoever knows all of it
but an account's number would find that by trying.
"""


@dataclass(frozen=True)
class Reading:
    """
    One update of a change feed, or one window of one account, that a sync applied.

    `answers` are in their order. Of a feed: `cursor_before`, and whether it was a replay of the
    whole history, which denies what it does not show. Of an account: its external id as it was
    then, the window that was asked for, whether it was the first one, and the dates of which
    the answer held every row (None: it broke off).
    """

    answers: tuple[AnswerKey, ...]
    cursor_before: str | None = None
    is_replay: bool = False
    account_external_id: str | None = None
    window: DateWindow | None = None
    is_first: bool = False
    covered: DateWindow | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it, without what says nothing."""
        record = {
            "answers": [[operation, digest.hex()] for operation, digest in self.answers],
            "cursor": self.cursor_before,
            "is_replay": self.is_replay,
            "account": self.account_external_id,
            "window": _to_days(self.window),
            "is_first": self.is_first,
            "covered": _to_days(self.covered),
        }
        return {name: value for name, value in record.items() if value}

    def keyed(self, to_keyed: Callable[[bytes], bytes]) -> "Reading":
        """Return it with its answers named as the archive names them."""
        answers = tuple((operation, to_keyed(digest)) for operation, digest in self.answers)
        return replace(self, answers=answers)

    @classmethod
    def of_json(cls, record: Mapping[str, Any]) -> "Reading":
        """Read what `to_json` wrote."""
        return cls(
            answers=tuple(
                (operation, bytes.fromhex(hex_)) for operation, hex_ in record["answers"]
            ),
            cursor_before=record.get("cursor"),
            is_replay=record.get("is_replay", False),
            account_external_id=record.get("account"),
            window=_of_days(record.get("window")),
            is_first=record.get("is_first", False),
            covered=_of_days(record.get("covered")),
        )


@dataclass(frozen=True)
class Lineage:
    """
    What one sync applied: its readings, and our ids of the accounts by their names then.

    `provider` is whose answers they are; None in older records: the connection's.
    """

    account_ids: Mapping[str, AccountId]
    readings: tuple[Reading, ...]
    provider: Provider | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        if not self.readings:
            return {}
        whose = {} if self.provider is None else {"provider": self.provider.value}
        return whose | {
            "accounts": dict(self.account_ids),
            "readings": [reading.to_json() for reading in self.readings],
        }

    def keyed(self, to_keyed: Callable[[bytes], bytes]) -> "Lineage":
        """Return it with its answers named as the archive names them."""
        return replace(self, readings=tuple(one.keyed(to_keyed) for one in self.readings))

    @classmethod
    def of_json(cls, record: Mapping[str, Any]) -> "Lineage":
        """Read what `to_json` wrote."""
        readings = tuple(Reading.of_json(one) for one in record.get("readings", ()))
        provider = record.get("provider")
        return cls(record.get("accounts", {}), readings, provider and Provider(provider))


def _to_days(window: DateWindow | None) -> list[str] | None:
    return None if window is None else [window.first.isoformat(), window.last.isoformat()]


def _of_days(days: list[str] | None) -> DateWindow | None:
    return None if days is None else DateWindow.model_validate({"first": days[0], "last": days[1]})
