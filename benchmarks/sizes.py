"""How much room the log takes and how much each grain of its roll-ups, indexes included."""

from __future__ import annotations

from dataclasses import dataclass

from tests.gateway import Gateway

TABLES = {
    "the log, raw rows": "analytics_requestlog",
    "roll-ups by minute": "analytics_rollup_minute",
    "roll-ups by hour": "analytics_rollup_hour",
    "roll-ups by day": "analytics_rollup_day",
}


@dataclass(frozen=True, slots=True)
class Size:
    """One partitioned table, all partitions together: rows, bytes of the table itself, bytes of its indexes."""

    rows: int
    table_bytes: int
    index_bytes: int

    @property
    def total_bytes(self) -> int:
        """Table and indexes."""
        return self.table_bytes + self.index_bytes


def sizes(gateway: Gateway) -> dict[str, Size]:
    """Return the size of each of TABLES."""
    return {title: _size(gateway, table) for title, table in TABLES.items()}


def _size(gateway: Gateway, table: str) -> Size:
    ((table_bytes, index_bytes),) = gateway.query(
        "SELECT coalesce(sum(pg_table_size(relid)), 0), coalesce(sum(pg_indexes_size(relid)), 0)"
        " FROM pg_partition_tree(%s::regclass) WHERE isleaf",
        table,
    )
    ((rows,),) = gateway.query(f"SELECT count(*) FROM {table}")
    return Size(int(rows), int(table_bytes), int(index_bytes))
