"""One partition per connection; `sensors.py` keeps the keys equal to the table."""

from typing import Final

import dagster as dg

CONNECTIONS: Final = "connections"

connection_partitions = dg.DynamicPartitionsDefinition(name=CONNECTIONS)
