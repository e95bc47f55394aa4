"""What the definitions are labelled with, so that the UI can filter and say whom to ask."""

from typing import Final

OWNERS: Final = ["team:data"]
"""Of assets: for jobs, schedules and sensors Dagster's owners are in beta, and warn."""

_PURPOSE: Final = "bank/purpose"  # a tag of jobs and their runs, metadata of what starts them
SYNCING: Final = {_PURPOSE: "sync"}
"""Brings connections up to date."""
LIFECYCLE: Final = {_PURPOSE: "lifecycle"}
"""Follows connections as they come and go."""
CHECKING: Final = {_PURPOSE: "checks"}
"""Looks, and changes nothing."""
UPKEEP: Final = {_PURPOSE: "upkeep"}
"""Forgets what was only kept for a while."""
LISTS: Final = {_PURPOSE: "lists"}
"""Reads what providers offer."""
NOTICES: Final = {_PURPOSE: "notices"}
"""Tells teams and the operator."""
