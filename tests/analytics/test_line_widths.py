"""Journals that a gateway without stages has left behind, whose lines end two fields earlier, are shipped as well."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from analytics.lines import COLUMNS, LineFormatter
from analytics.record import RequestRecord
from analytics.shipper import Shipper


def line(with_stages: bool, **values: object) -> bytes:
    """Return a record's line; without stages as the version before wrote it."""
    record = RequestRecord(id=os.urandom(16).hex(), at=time.time(), auth_us=5, limit_us=9, tool="a\tb\\", **values)  # type: ignore[arg-type]
    whole = LineFormatter().format(record)
    assert whole.count(b"\t") == 24
    return whole if with_stages else whole.rsplit(b"\t", 2)[0] + b"\n"


def ship(journal: Path, make_shipper: Callable[[], Shipper], *lines: bytes) -> None:
    (journal / f"{uuid.uuid4()}.copy").write_bytes(b"".join(lines))
    shipper = make_shipper()
    while shipper.ship_all():
        pass


def test_stages_are_the_last_columns() -> None:
    assert COLUMNS[-2:] == ("auth_us", "limit_us")


@pytest.mark.parametrize("order", [(False,) * 3, (True,) * 3, (False, True, False, True, True), (True, False, False)])
def test_lines_of_both_widths_are_shipped_even_in_one_file(
    order: tuple[bool, ...], journal: Path, make_shipper: Callable[[], Shipper], log_connection: psycopg.Connection
) -> None:
    ship(journal, make_shipper, *(line(wide, total_us=number) for number, wide in enumerate(order)))
    rows = log_connection.execute(
        "SELECT auth_us, limit_us, tool FROM analytics_requestlog ORDER BY total_us"
    ).fetchall()
    assert rows == [(5, 9, "a\tb\\") if wide else (None, None, "a\tb\\") for wide in order]
    assert log_connection.execute("SELECT count(*) FROM analytics_journalreject").fetchone() == (0,)


def test_a_line_of_any_other_width_is_refused_and_the_rest_is_shipped(
    journal: Path, make_shipper: Callable[[], Shipper], log_connection: psycopg.Connection
) -> None:
    short = line(True).rsplit(b"\t", 1)[0] + b"\n"
    ship(journal, make_shipper, line(False), short, line(True))
    assert log_connection.execute("SELECT count(*) FROM analytics_requestlog").fetchone() == (2,)
    assert log_connection.execute("SELECT count(*) FROM analytics_journalreject").fetchone() == (1,)


def test_a_block_marks_the_first_row_of_each_of_its_minutes(
    journal: Path, make_shipper: Callable[[], Shipper], log_connection: psycopg.Connection
) -> None:
    log_connection.execute("TRUNCATE analytics_staleminute")
    minute = time.time() // 60 * 60 - 600
    moments = [minute + 61.5, minute + 2.25, minute + 59.5, minute + 2.5]
    lines = [LineFormatter().format(RequestRecord(id=os.urandom(16).hex(), at=at)) for at in moments]
    long_ago = LineFormatter().format(RequestRecord(id=os.urandom(16).hex(), at=1.0))
    ship(journal, make_shipper, *lines, long_ago)
    marks = log_connection.execute("SELECT extract(epoch FROM minute) FROM analytics_staleminute ORDER BY 1").fetchall()
    assert [float(mark) for (mark,) in marks] == [minute + 2.25, minute + 61.5]
