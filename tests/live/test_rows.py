"""Journal lines, NOTIFY payloads and rows: whatever the text, it arrives, it fits, and it gives nobody more to see."""

from __future__ import annotations

import json
import time

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.lines import LineFormatter
from analytics.live_rows import (
    CHANNEL,
    MAX_CHARACTERS,
    MAX_PAYLOAD_BYTES,
    MAX_USER_CHARACTERS,
    LiveRow,
    cut,
    payloads,
    row_of,
    rows_of,
)
from analytics.record import RequestRecord

ID = "0123456789abcdef0123456789abcdef"
TEXTS = ("namespace", "upstream", "user_id", "method", "tool", "outcome", "reason", "client_name", "client_address")
any_text = st.text(st.characters(codec=None), max_size=700)


def record(**values: object) -> RequestRecord:
    return RequestRecord(id=ID, at=1763716800.25, http_status=200, total_us=1500, **values)  # type: ignore[arg-type]


def line(made: RequestRecord) -> bytes:
    return LineFormatter().format(made).removesuffix(b"\n")


def there_and_back(made: RequestRecord) -> LiveRow:
    row = row_of(line(made))
    assert row is not None
    texts, too_large = payloads([row])
    assert too_large == 0 and len(texts) == 1
    (found,), skipped = rows_of(texts[0])
    assert skipped == 0
    return found


def stored(text: str, characters: int) -> str:
    """What the journal keeps of a text, and the live view of that."""
    kept = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text[:512])
    return cut(kept, characters)


@given(user=any_text, upstream=any_text, reason=any_text)
def test_any_text_arrives_as_the_log_has_it(user: str, upstream: str, reason: str) -> None:
    fields = there_and_back(record(user_id=user, upstream=upstream, reason=reason)).fields
    assert fields["user_id"] == stored(user, MAX_USER_CHARACTERS)
    assert fields["upstream"] == stored(upstream, MAX_CHARACTERS)
    assert fields["reason"] == stored(reason, MAX_CHARACTERS)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(TEXTS, any_text)), min_size=1, max_size=6), st.integers(0, 10**12))
def test_payloads_hold_all_rows_and_stay_below_the_limit(records: list[dict[str, str]], skipped: int) -> None:
    rows = [row for values in records if (row := row_of(line(record(**values)))) is not None]
    assert len(rows) == len(records)
    texts, too_large = payloads(rows, skipped)
    assert too_large == 0
    assert max(len(text.encode()) for text in texts) <= MAX_PAYLOAD_BYTES
    found = [rows_of(text) for text in texts]
    assert [row.fields["id"] for some, _ in found for row in some] == [row[0] for row in rows]
    assert [count for _, count in found] == [skipped, *[0] * (len(texts) - 1)]


@pytest.mark.parametrize("character", ["\x01", "\x1f", "\x7f", "\U0001f600", "\\", '"', "\u2028", "€"])
def test_the_largest_row_fits_into_one_payload(character: str) -> None:
    text = character * 600
    found = there_and_back(record(**dict.fromkeys(TEXTS, text)))
    assert found.fields["tool"] == character * MAX_CHARACTERS + "…"


def test_a_cut_user_or_namespace_is_nobodys_name() -> None:
    """Who may see a row is decided by these two: cutting them must not turn one name into another."""
    fields = there_and_back(record(user_id="u" * 201, namespace="n" * 121)).fields
    assert fields["user_id"] == "u" * 200 + "…" and len(fields["user_id"]) > 200
    assert fields["namespace"] == "n" * 120 + "…"
    longest = there_and_back(record(user_id="u" * 200, namespace="n" * 64)).fields
    assert (longest["user_id"], longest["namespace"]) == ("u" * 200, "n" * 64)


def test_a_row_says_what_the_record_says() -> None:
    made = record(namespace="first", user_id="alice", method="tools/call", tool="echo", request_bytes=7)
    fields = there_and_back(made).fields
    assert fields == {
        "id": "01234567-89ab-cdef-0123-456789abcdef",
        "at": "2025-11-21T09:20:00.250000Z",
        "namespace": "first",
        "upstream": None,
        "user_id": "alice",
        "method": "tools/call",
        "tool": "echo",
        "outcome": "ok",
        "reason": None,
        "http_status": 200,
        "request_bytes": 7,
        "response_bytes": 0,
        "client_name": None,
        "client_address": None,
        "latency_ms": 1.5,
    }


def test_more_columns_at_the_end_of_a_line_change_nothing() -> None:
    made = line(record(namespace="first"))
    assert row_of(made) == row_of(made + b"\t12\t\\N") != None  # noqa: E711


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\t" * 40,
        b"no record",
        line(record()).replace(ID.encode(), b"../../../etc/passwd"),
        line(record()).replace(b"2025-11-21", b"2025-11-2x"),
        line(record()).replace(b"\t1500\t", b"\t-1500\t"),
        line(record()).replace(b"\t1500\t", b"\t" + b"9" * 30 + b"\t"),
        line(record()).rpartition(b"\t")[0][:60],
    ],
)
def test_what_is_no_record_is_no_row(junk: bytes) -> None:
    assert row_of(junk) is None


@given(st.binary(max_size=400))
def test_no_bytes_make_an_error(junk: bytes) -> None:
    row_of(junk.replace(b"\n", b""))


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{}",
        "[]",
        '["0"]',
        "[-1]",
        "[true]",
        "[0, 1]",
        "[0, []]",
        "[0, [1]]",
        "[0, {}]",
        "nonsense",
        "[0" + ',"x"' * 15,
    ]
    + [json.dumps([0, [["a"]] + [None] * 14]), json.dumps([0, ["x"] * 15])],
)
def test_a_foreign_payload_is_refused(payload: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        rows_of(payload)


def test_the_address_is_in_one_of_the_two_forms_alone() -> None:
    found = there_and_back(record(client_address="192.0.2.7"))
    assert json.loads(found.encoded(with_address=True))["client_address"] == "192.0.2.7"
    assert b"192.0.2.7" not in found.encoded(with_address=False)


def test_postgres_carries_the_worst_of_it(database_server: str) -> None:
    hostile = "'; DROP TABLE x; --\\\t\n\r\x00\ud800\u202e<script>\U0001f600" * 30
    row = row_of(line(record(**dict.fromkeys(TEXTS, hostile))))
    assert row is not None
    texts, _ = payloads([row] * 9, 3)
    with psycopg.connect(database_server, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        connection.execute("SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", (CHANNEL, texts))
        deadline = time.monotonic() + 5
        arrived: list[str] = []
        while len(arrived) < len(set(texts)) and time.monotonic() < deadline:
            arrived += [notice.payload for notice in connection.notifies(timeout=0.5, stop_after=1)]
    assert arrived == list(dict.fromkeys(texts))
    assert rows_of(arrived[0])[1] == 3
    assert rows_of(arrived[0])[0][0].fields["tool"] == row[6]
