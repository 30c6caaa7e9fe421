"""The request log as one long CSV, sent while it is read: a few hundred rows in memory, no connection held between.

Each piece is a page of its own, read by cursor, so a reader that stops reading holds neither a connection of the pool
nor a transaction, and one that leaves costs nothing more than the page under way.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import Error, connection
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from analytics import queries
from analytics.rest import csv_text
from analytics.rest.call_fields import COLUMNS, fields
from analytics.rest.call_parameters import sealed
from analytics.rest.endpoint import NOT_STORED, attachment

logger = logging.getLogger(__name__)

# Rows a page. More would hold the interpreter for longer while calls are being proxied beside us.
PAGE = 500


def export(
    request: Request, view: queries.View, wanted: queries.CallFilter, given: Mapping[str, Any]
) -> HttpResponseBase:
    """Return a response that streams at most `given["limit"]` rows of the view from `given["cursor"]` on.

    The first page is read at once, so that what is wrong with it is a proper error answer.
    """
    pieces = _pieces(view, wanted, given["limit"], given.get("cursor"))
    first = next(pieces)
    if request.method == "HEAD":
        pieces = iter(())
    is_async = isinstance(request._request, ASGIRequest)
    response = StreamingHttpResponse(
        _in_a_thread(first, pieces) if is_async else _chained(first, pieces), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = attachment("requests")
    response["Cache-Control"] = NOT_STORED
    return response


def _pieces(view: queries.View, wanted: queries.CallFilter, limit: int, cursor: str | None) -> Iterator[bytes]:
    """Yield the header with the first page, then page after page, and a comment when there would be more."""
    before = csv_text.header(COLUMNS)
    left = limit
    while True:
        page = _page(view, wanted, min(PAGE, left), cursor)
        left -= len(page.calls)
        cursor = page.next_cursor
        text = before + csv_text.lines(COLUMNS, map(fields, page.calls))
        before = b""
        if cursor is None or left <= 0:
            break
        yield text
    yield text if cursor is None else text + _cut(limit, cursor)


def _page(view: queries.View, wanted: queries.CallFilter, limit: int, cursor: str | None) -> queries.CallPage:
    """Read one page and give the connection back."""
    try:
        with queries.reading() as reading:
            return queries.calls(reading, view, wanted, limit, cursor)
    finally:
        if not connection.in_atomic_block:  # a transaction around us, as in tests, is not ours to end
            connection.close_if_unusable_or_obsolete()


def _cut(limit: int, cursor: str) -> bytes:
    return f"# cut after {limit} rows; go on with cursor={sealed(cursor)}\r\n".encode()


def _chained(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from _told(pieces)


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


async def _in_a_thread(first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces; each is made in the request's own thread when the client has taken the one before."""
    yield first
    told = _told(pieces)
    while (piece := await sync_to_async(_next)(told)) is not None:
        yield piece


def _told(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces; when the database fails midway say so in the file, and break the answer off.

    The status has long been sent: an answer that ends without its last chunk is the one sign that clients know.
    """
    try:
        yield from pieces
    except Error as error:
        logger.warning("a CSV export broke off at the database: %s", str(error).strip())
        yield b"# incomplete: the database did not answer in time; ask for a shorter period\r\n"
        raise
