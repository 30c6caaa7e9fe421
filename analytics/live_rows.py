"""How journal lines become NOTIFY payloads for the live view, and payloads rows. Pure; whatever the text, it fits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from analytics.lines import COLUMNS, NULL

CHANNEL = "gateway_live"
# Postgres takes fewer than 8,000 bytes (NOTIFY_PAYLOAD_MAX_LENGTH).
MAX_PAYLOAD_BYTES = 7900
# No shown text has more characters. Not for namespaces and users, by which is decided who may see the row: those
# have room for everything that a namespace's slug (64) or a key's user (200) can be, so that a cut one equals none.
MAX_CHARACTERS = 120
MAX_USER_CHARACTERS = 200
_CUT = "…"

# What a payload's row holds, in this order, and the journal's column behind each.
_SOURCES = {
    "id": "id",
    "at": "at",
    "namespace": "namespace",
    "upstream": "upstream",
    "user_id": "user_id",
    "method": "method",
    "tool": "tool",
    "outcome": "outcome",
    "reason": "reason",
    "http_status": "http_status",
    "total_us": "total_us",
    "request_bytes": "request_bytes",
    "response_bytes": "response_bytes",
    "client_name": "client_name",
    "client_address": "client_address",
}
FIELDS = tuple(_SOURCES)
_NUMBERS = frozenset(("http_status", "total_us", "request_bytes", "response_bytes"))
# By index from the left: a later version's line may have more columns behind these.
_PLACES = tuple((name, COLUMNS.index(column)) for name, column in _SOURCES.items())
_FEWEST_FIELDS = max(place for _, place in _PLACES) + 1
_ID = re.compile(rb"[0-9a-f]{32}")
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00")
_NULL = NULL.encode()
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Row = dict[str, Any]


def cut(text: str, characters: int = MAX_CHARACTERS) -> str:
    """Return `text` with at most so many characters; an ellipsis in addition says that some are missing."""
    return text if len(text) <= characters else text[:characters] + _CUT


def row_of(line: bytes) -> list[Any] | None:
    """Return a journal line (COPY text format, no newline) as a payload's row, or None for what is no record."""
    fields = line.split(b"\t", _FEWEST_FIELDS)
    if len(fields) < _FEWEST_FIELDS:
        return None
    row: list[Any] = []
    for name, place in _PLACES:
        field = fields[place]
        if field == _NULL:
            row.append(None)
        elif name in _NUMBERS:
            if not field.isdigit() or len(field) > 18:
                return None
            row.append(int(field))
        else:
            text = _unescape(field.decode("utf-8", "replace"))
            row.append(cut(text, MAX_USER_CHARACTERS if name == "user_id" else MAX_CHARACTERS))
    at = fields[_PLACES[1][1]]
    if not _ID.fullmatch(fields[0]) or not _MOMENT.fullmatch(at):
        return None
    identifier = row[0]
    row[0] = "-".join((identifier[:8], identifier[8:12], identifier[12:16], identifier[16:20], identifier[20:]))
    row[1] = f"{at[:10].decode()}T{at[11:26].decode()}Z"
    return row


def _unescape(field: str) -> str:
    if "\\" not in field:
        return field
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), field)


def payloads(rows: Iterable[list[Any]], skipped: int = 0) -> tuple[list[str], int]:
    """Return payloads that hold these rows in order, and how many rows fit into none.

    Args: skipped: how many rows were left out before; the first payload says so.
    A payload is a JSON array: that number, then the rows. Each is shorter than Postgres' limit.
    """
    made: list[str] = []
    parts, size, too_large = [str(skipped)], 32, 0
    for row in rows:
        encoded = msgspec.json.encode(row)
        if len(encoded) + 32 > MAX_PAYLOAD_BYTES:
            too_large += 1
            continue
        if size + len(encoded) + 1 > MAX_PAYLOAD_BYTES:
            made.append(f"[{','.join(parts)}]")
            parts, size = ["0"], 32
        parts.append(encoded.decode())
        size += len(encoded) + 1
    if len(parts) > 1 or parts[0] != "0":
        made.append(f"[{','.join(parts)}]")
    return made, too_large


_PAYLOAD = msgspec.json.Decoder(list[int | list[str | int | None]])


class LiveRow:
    """A row on its way to browsers: what filters ask for, and its JSON with and without the client's address."""

    __slots__ = ("_encoded", "fields")

    def __init__(self, values: list[str | int | None]) -> None:
        """Take a payload's row. Raises ValueError when it is none."""
        if len(values) != len(FIELDS):
            raise ValueError("the payload's row has other fields")
        self.fields: Row = dict(zip(FIELDS, values, strict=True))
        total_us = self.fields.pop("total_us")
        if not isinstance(total_us, int):
            raise ValueError("the payload's row has no duration")
        self.fields["latency_ms"] = round(total_us / 1000, 3)
        self._encoded: dict[bool, bytes] = {}

    def encoded(self, *, with_address: bool) -> bytes:
        """Return the row as a JSON object; made once for all the sockets that get it."""
        found = self._encoded.get(with_address)
        if found is None:
            shown = self.fields if with_address else self.fields | {"client_address": None}
            found = self._encoded[with_address] = msgspec.json.encode(shown)
        return found


def rows_of(payload: str) -> tuple[list[LiveRow], int]:
    """Return a payload's rows and how many were left out. Raises ValueError for what no announcer of ours sent."""
    try:
        skipped, *rows = _PAYLOAD.decode(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError("the payload is no array of rows") from error
    if not isinstance(skipped, int) or skipped < 0:
        raise ValueError("the payload does not begin with a count")
    if not all(isinstance(row, list) for row in rows):
        raise ValueError("the payload holds something that is no row")
    return [LiveRow(row) for row in rows if isinstance(row, list)], skipped
