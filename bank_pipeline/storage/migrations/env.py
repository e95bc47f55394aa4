"""Alembic's entry: migrate over the connection that `storage.migrate` hands in."""

from alembic import context

from bank_pipeline.storage.columns import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=SCHEMA,
    transaction_per_migration=False,
)
context.run_migrations()
