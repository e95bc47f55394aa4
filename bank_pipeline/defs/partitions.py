"""
What one partition is: a connection, or a provider.

`sensors.py` keeps the connections' keys equal to the table.
"""

from typing import Final

import dagster as dg

from bank_pipeline.domain.connection import Provider

CONNECTIONS: Final = "connections"

connection_partitions = dg.DynamicPartitionsDefinition(name=CONNECTIONS)

provider_partitions = dg.StaticPartitionsDefinition([provider.value for provider in Provider])
