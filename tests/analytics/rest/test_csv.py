"""CSV of every table: RFC 4180, named files, and nothing that a spreadsheet would run (M8, P32)."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from analytics.rest import csv_text
from tests.analytics.rest.walk import ENDPOINTS, TABLES
from tests.analytics.rows import log_row

FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1"]
HOSTILE = [
    *FORMULAS,
    '"quoted", with; commas',
    "a\r\nb",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "\u202egnp.exe",
    "日本",
]
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝")


def parsed(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def rows_of(client: Client, path: str, **parameters: str) -> list[dict[str, str]]:
    answer = client.get(path, {"format": "csv"} | parameters)
    content = b"".join(answer)
    assert answer.status_code == 200, content
    header, *rows = parsed(content)
    assert all(len(row) == len(header) for row in rows)
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.django_db
@pytest.mark.parametrize("path", TABLES)
def test_a_table_is_a_named_file_with_a_header_row(staff: Client, path: str) -> None:
    log_row(key_id=3)
    for answer in (staff.get(path, {"format": "csv"}), staff.get(path, headers={"Accept": "text/csv"})):
        content = b"".join(answer)
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        name = r'attachment; filename="[a-z]+-\d{8}T\d{6}Z\.csv"'
        assert re.fullmatch(name, answer["Content-Disposition"])
        assert answer["Cache-Control"] == "private, no-store" and answer["X-Content-Type-Options"] == "nosniff"
        header, *rows = parsed(content)
        assert len(set(header)) == len(header) >= 2 and rows
        assert content.endswith(b"\r\n") and content.count(b"\n") == content.count(b"\r\n") == len(rows) + 1


@pytest.mark.django_db
@pytest.mark.parametrize("path", TABLES)
def test_an_empty_table_has_its_header_row(staff: Client, path: str) -> None:
    log_row()
    for more in ({}, {"detail": "true"}, {"group_by": "tool"}, {"table": "keys"}, {"table": "outcomes"}):
        known = (
            set(more) <= set(getattr(ENDPOINTS[path], "parameters", dict)().fields)
            if "requests" not in path
            else not more
        )
        if not known:
            continue
        full, empty = (staff.get(path, {"format": "csv"} | more | names) for names in ({}, {"namespace": "nobody's"}))
        header, *rows = parsed(b"".join(empty))
        assert header == parsed(b"".join(full))[0] and len(header) >= 2
    if "percentiles" not in path and "timeseries" not in path and "summary" not in path:
        assert rows == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", TABLES)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_any_table_is_a_formula(staff: Client, path: str, text: str) -> None:
    user = "alice" if "alice" in path else text
    log_row(namespace=text, upstream=text, user_id=user, tool=text, client_name=text, key_id=3, request_id=text)
    log_row(namespace=text, upstream=text, user_id=user, tool=text, outcome="tool_error", reason=text, key_id=3)
    tables = ["tools", "namespaces", "keys", "outcomes"] if "alice" in path else [""]
    for table in tables:
        rows = rows_of(staff, path, **({"table": table} if table else {}))
        cells = [cell for row in rows for cell in row.values()]
        assert rows and not [cell for cell in cells if cell.startswith(DANGEROUS)]
        if path.rsplit("/", 1)[1] in ("summary", "timeseries", "percentiles") or table == "keys":
            continue
        shown = f"'{text}" if text.startswith(DANGEROUS) else text
        assert shown in cells, (table, cells)


@pytest.mark.django_db
def test_the_same_rows_as_in_json(staff: Client) -> None:
    log_row(total_us=1500)
    log_row(user_id="bob", outcome="timeout", tool="add")
    for path in TABLES:
        if "requests" in path or "summary" in path:
            continue
        view = ENDPOINTS[path]
        json_rows = staff.get(path, {"period": "1h"}).json()[view.table]
        csv_rows = rows_of(staff, path, period="1h")
        assert [set(row) for row in csv_rows] == [set(row) for row in json_rows]
        for written, meant in zip(csv_rows, json_rows, strict=True):
            assert {name: "" if value is None else str(value) for name, value in meant.items()} == written


@pytest.mark.django_db
def test_negative_numbers_stay_numbers(staff: Client) -> None:
    log_row(jsonrpc_code=-32602, outcome="denied")
    assert [row["jsonrpcCode"] for row in rows_of(staff, "/api/v1/requests")] == ["-32602"]


@pytest.mark.django_db
def test_an_export_that_was_cut_says_so_and_how_to_go_on(staff: Client, settings: Any) -> None:
    for number in range(1205):
        log_row(tool=f"tool{number}")
    settings.CSV_MAX_ROWS = 1000
    content = b"".join(staff.get("/api/v1/requests", {"format": "csv"})).decode()
    *lines, last = content.splitlines()
    match = re.fullmatch(r"# cut after 1000 rows; go on with cursor=(\S+)", last)
    assert match and len(lines) == 1001
    rest = b"".join(staff.get("/api/v1/requests", {"format": "csv", "cursor": match[1]})).decode().splitlines()
    assert len(rest) == 206 and "# cut" not in rest[-1]
    tools = {row["toolName"] for text in (lines, rest) for row in csv.DictReader(text)}
    assert len(tools) == 1205
    fitting = b"".join(staff.get("/api/v1/requests", {"format": "csv", "limit": "205", "cursor": match[1]})).decode()
    assert len(fitting.splitlines()) == 206, "exactly as many as there are is not cut"


@given(st.text())
def test_any_text_comes_back_from_its_cell_or_behind_an_apostrophe(text: str) -> None:
    text = text.replace("\x00", "")
    (row,) = parsed(csv_text.lines(("a", "b"), [{"a": text, "b": 1}]))
    assert row[0] in (text, f"'{text}") and not row[0].startswith(DANGEROUS) and row[1] == "1"
