"""Tables as values: columns, rows of cells, and what stands in their place when there are no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from analytics.dashboard import formatting, svg
from analytics.queries import Measures


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `order` is the word by which the page can be sorted by it, `hint` explains it on hover."""

    label: str
    is_number: bool = False
    order: str = ""
    hint: str = ""
    url: str = ""
    is_sorted: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One value. The text is escaped when it is rendered; `hint` is its long form on hover."""

    text: str
    url: str = ""
    hint: str = ""
    tone: str = ""  # of a dot in front: ok, warn, error, muted
    drawing: SafeString | str = ""
    is_name: bool = False  # text that somebody else chose: kept from turning its surroundings around
    is_number: bool = False  # set in figures of one width, to the right
    is_quiet: bool = False
    moment: str = ""  # the ISO form where the text is a time


@dataclass(frozen=True, slots=True)
class Empty:
    """Why there are no rows, and what to do next."""

    text: str
    action: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its title; rows lead where their first cell leads."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: list[list[Cell]]
    empty: Empty
    note: str = ""
    more: tuple[str, str] | None = None  # text and address of the longer version
    csv_url: str = ""
    is_wide: bool = field(default=False)


CALLS = Column("Requests", True, "calls")
ERRORS = Column("Errors", True, "errors", "Whatever did not end ok.")
ERROR_SHARE = Column("Share", True, "error_rate", "Errors in percent of the requests.")
P50 = Column("p50", True, "", "Half of the requests took no longer.")
P95 = Column("p95", True, "p95", "95 of 100 requests took no longer.")
BYTES = Column("Bytes", True, "bytes", "Bodies of requests and answers.")


def name_cell(name: str, url: str = "") -> Cell:
    """Return the cell of a name that a client or an administrator chose."""
    text = formatting.shown(name)
    return Cell(text, url, text if len(text) > 32 else "", is_name=True)


def count_cell(number: int, url: str = "", of: int = 0, tone: str = "ok") -> Cell:
    """Return a number, with a bar that says how much it is `of` the largest in its column."""
    drawing = svg.bar(number, of, tone) if of else ""
    return Cell(formatting.count(number), url if number else "", drawing=drawing, is_number=True, is_quiet=not number)


def share_cell(measures: Measures) -> Cell:
    """Return the share of errors, with both numbers behind it."""
    hint = f"{formatting.count(measures.errors)} of {formatting.count(measures.calls)}"
    text = formatting.share(measures.errors, measures.calls)
    return Cell(text, hint=hint, is_number=True, is_quiet=not measures.errors)


def latency_cell(milliseconds: float | None, url: str = "") -> Cell:
    """Return a latency."""
    return Cell(formatting.latency(milliseconds), url if milliseconds is not None else "", is_number=True)


def size_cell(number: int) -> Cell:
    """Return an amount of bytes, with the exact number on hover."""
    hint = f"{formatting.count(number)} bytes" if number >= 1000 else ""
    return Cell(formatting.size(number), hint=hint, is_number=True, is_quiet=not number)


def largest(values: Sequence[int]) -> int:
    """Return the largest value, 0 where there is none."""
    return max(values, default=0)
