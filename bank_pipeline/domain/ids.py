"""
Our own identifiers. Provider ids are always called `external_id`.

All are UUIDv7 in canonical text: time-ordered, so that indexes grow at one end, and opaque,
because they show in URLs, logs and the Dagster UI.
"""

from typing import NewType

TeamId = NewType("TeamId", str)
ConnectionId = NewType("ConnectionId", str)
AccountId = NewType("AccountId", str)
TransactionId = NewType("TransactionId", str)
SyncRunId = NewType("SyncRunId", str)
LinkSessionId = NewType("LinkSessionId", str)
ApiKeyId = NewType("ApiKeyId", str)
