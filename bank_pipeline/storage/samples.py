"""
Values that the server keeps of columns, to plan queries: it shows them to nobody but the owner.

They outlive the rows they are of, until the table is analysed again; and an empty one never is.
"""

from typing import Final

import sqlalchemy as sa

_CLEARS_SINCE: Final = 18  # pg_clear_attribute_stats; before, only a superuser can


def refresh_samples(db: sa.Connection, schema: str) -> list[str]:
    """
    Take the samples of all tables of a schema anew; return the tables that keep old ones.

    Those are empty by now, and belong to a server on which we may not clear their samples. For a
    session without a transaction.
    """
    kept: list[str] = []
    for name in db.scalars(_TABLES, {"schema": schema}).all():
        quoted = f'"{schema}"."{name}"'
        db.exec_driver_sql(f"ANALYZE {quoted}")
        some = db.exec_driver_sql(f"SELECT 1 FROM {quoted} LIMIT 1").first()  # noqa: S608 - names from the server
        if some is None and not _clear(db, schema, name):
            kept.append(name)
    return kept


def _clear(db: sa.Connection, schema: str, name: str) -> bool:
    given = {"schema": schema, "name": name}
    columns = db.scalars(_SAMPLED, given).all()
    if not columns:
        return True
    try:
        if int(db.scalar(sa.text("SHOW server_version_num")) or 0) // 10_000 >= _CLEARS_SINCE:
            for column in columns:
                db.execute(_CLEAR, {**given, "column": column})
        else:
            db.execute(_DELETE, given)
    except sa.exc.ProgrammingError:  # not the owner, or no superuser
        return False
    return True


_TABLES: Final = sa.text(
    "SELECT tablename::text FROM pg_tables WHERE schemaname = :schema ORDER BY 1"
)
# Not from pg_stats, which hides tables with row-level security even from their owner.
_SAMPLED: Final = sa.text(
    "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped"
)
_CLEAR: Final = sa.text("SELECT pg_clear_attribute_stats(:schema, :name, :column, false)")
_DELETE: Final = sa.text(
    "DELETE FROM pg_statistic WHERE starelid = ("
    "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :name)"
)
