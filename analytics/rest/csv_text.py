"""Rows as CSV text (RFC 4180) that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

# A cell that begins like this is a formula to some spreadsheet (OWASP, CSV injection); the wide forms are taken for
# the plain ones in some languages.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBERS = (int, float)


def cell(value: object) -> object:
    """Return a value as it may stand in a cell. Text that a spreadsheet could run begins with an apostrophe.

    Numbers stay numbers: they are ours, and `-32602` is no formula.
    """
    if value is None:
        return ""
    if not isinstance(value, str):  # most cells of an export are none, and each costs
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, _NUMBERS):
            return value
        return moment(value) if isinstance(value, datetime) else cell(str(value))
    text = value.replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


def moment(at: datetime) -> str:
    """Return an aware UTC moment as RFC 3339 writes it: whole seconds where it has no others, else milliseconds."""
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return the rows without a header row, in UTF-8, each ended by CR LF."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode()


def header(columns: Sequence[str]) -> bytes:
    """Return the header row."""
    return lines(columns, [{column: column for column in columns}])
