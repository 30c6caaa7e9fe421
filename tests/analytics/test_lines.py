"""Whatever a record's text, its row arrives: cut, redacted, unstorable characters replaced (P17)."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.lines import MAX_CHARACTERS, LineFormatter, escape
from analytics.record import OUTCOMES, RequestRecord
from analytics.recorder import Recorder
from analytics.shipper import Shipper
from keys.redaction import redact

POISON = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\t",
    "\n",
    "\r\n",
    "\\",
    "\\.",
    "\\N",
    "\\x41",
    "\u2028\u2029\x85\x0b\x0c\x1c",
    "\x1b[31m",
    "\ufeff\uffff\U0010ffff",
    "é" * 3000,
    "\U0001f600" * 600,
    "x" * (1 << 20),
    "\\" * (1 << 20),
    "\0\t" * (1 << 19),
]
TEXT = st.none() | st.sampled_from(POISON) | st.text(st.characters(codec=None, exclude_categories=()), max_size=700)
COUNT = st.integers(0, (1 << 63) - 1)
RECORDS = st.builds(
    RequestRecord,
    id=st.builds(lambda: os.urandom(16).hex()),
    at=st.floats(-3600, 0).map(lambda back: time.time() + back)
    | st.sampled_from([math.nan, math.inf, -math.inf, -1.0]),
    namespace=TEXT,
    upstream=TEXT,
    key_id=st.none() | COUNT,
    user_id=TEXT,
    method=TEXT,
    tool=TEXT,
    outcome=st.sampled_from(OUTCOMES),
    reason=TEXT,
    http_status=st.integers(0, 999),
    jsonrpc_code=st.none() | st.integers(-(10**40), 10**40),
    total_us=COUNT,
    upstream_us=st.none() | COUNT,
    first_byte_us=st.none() | COUNT,
    request_bytes=COUNT,
    response_bytes=COUNT,
    protocol_version=TEXT,
    client_name=TEXT,
    session=TEXT,
    client_address=TEXT,
    request_id=TEXT,
    trace_id=TEXT,
)
OURS = ("upstream", "user_id", "reason", "session")
THEIRS = (
    *("namespace", "method", "tool", "protocol_version", "client_name", "client_address", "request_id", "trace_id"),
)
NUMBERS = ("key_id", "http_status", "total_us", "upstream_us", "first_byte_us", "request_bytes", "response_bytes")


def stored(text: str | None, redacted: bool) -> str | None:
    """Return what the column should hold for `text`."""
    if text is None:
        return None
    kept = redact(text[:2048])[:512] if redacted else text[:512]
    return re.sub("[\0\ud800-\udfff]", "\ufffd", kept)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=st.lists(RECORDS, min_size=1, max_size=20))
def test_every_row_arrives_as_it_was(
    records: list[RequestRecord],
    journal: Path,
    make_shipper: Callable[[], Shipper],
    log_connection: psycopg.Connection,
) -> None:
    recorder = Recorder(journal, 1 << 30)
    assert all(recorder.put(record) for record in records)
    recorder.close()
    shipper = make_shipper()
    while shipper.ship_all():
        pass
    shipper.close()
    assert log_connection.execute("SELECT error FROM analytics_journalreject").fetchall() == []
    cursor = log_connection.execute(
        "SELECT * FROM analytics_requestlog WHERE id = ANY (%s::uuid[])", ([r.id for r in records],)
    )
    names = [column.name for column in cursor.description or []]
    rows = {row["id"].hex: row for row in (dict(zip(names, values, strict=True)) for values in cursor)}
    assert len(rows) == len(records)
    for record in records:
        row = rows[record.id]
        for name in OURS:
            assert row[name] == stored(getattr(record, name), redacted=False), name
        for name in THEIRS:
            assert row[name] == stored(getattr(record, name), redacted=True), name
        for name in NUMBERS:
            assert row[name] == getattr(record, name), name
        assert row["outcome"] == record.outcome
        if record.at > 0 and math.isfinite(record.at):
            assert abs(row["at"].timestamp() - record.at) < 1e-5


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_an_escaped_field_has_neither_tab_nor_newline_and_can_be_encoded(text: str) -> None:
    field = escape(text)
    assert not set(field) & set("\t\n\r\0")
    assert len(field.encode()) <= 2 * 4 * MAX_CHARACTERS


@pytest.mark.parametrize("column", ["tool", "client_name", "namespace", "request_id", "trace_id", "method"])
def test_a_key_that_a_client_puts_where_it_does_not_belong_is_masked(column: str) -> None:
    record = RequestRecord(id="0" * 32, at=1.0, **{column: "mcpgw_" + "a1B2" * 12})  # type: ignore[arg-type]
    assert b"a1B2" not in LineFormatter().format(record)


def test_what_is_remembered_is_bounded() -> None:
    formatter = LineFormatter()
    for number in range(20_000):
        formatter.format(RequestRecord(id="0" * 32, at=1.0, tool=f"tool-{number}"))
    assert len(formatter._foreign) <= 4096
    assert b"\ttool-5\t" in formatter.format(RequestRecord(id="0" * 32, at=1.0, tool="tool-5"))
