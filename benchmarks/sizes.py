"""How much room the log takes and how much each grain of its roll-ups, indexes included."""

from __future__ import annotations

from dataclasses import dataclass

from tests.gateway import Gateway

TABLES = {
    "the log, raw rows": "analytics_requestlog",
    "roll-ups by minute": "analytics_rollup_minute",
    "roll-ups by hour": "analytics_rollup_hour",
    "roll-ups by day": "analytics_rollup_day",
    "trails (weeks, months, quarters)": "analytics_rollup_trail",
}


@dataclass(frozen=True, slots=True)
class Size:
    """One table, all its partitions together: rows, bytes of the table itself, bytes of its indexes."""

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
        # The tree of a table without partitions is empty; a partitioned one holds nothing itself.
        " FROM (SELECT relid FROM pg_partition_tree(%s::regclass) UNION SELECT %s::regclass) AS tree",
        table,
        table,
    )
    ((rows,),) = gateway.query(f"SELECT count(*) FROM {table}")
    return Size(int(rows), int(table_bytes), int(index_bytes))
