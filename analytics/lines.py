"""How a request record becomes one line in COPY text format. Pure; whatever the text, the line can be stored."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from analytics.record import RequestRecord
from keys.redaction import redact

# The order of the fields on a line, which is that of the record.
COLUMNS = tuple(RequestRecord.__slots__)
NULL = "\\N"
# No text column takes more characters. With four bytes a character an index entry stays below Postgres' 2,704.
MAX_CHARACTERS = 512
_INT4_MAX = (1 << 31) - 1
_SPECIAL = re.compile("[\\\\\t\n\r\0\ud800-\udfff]")
# Postgres cannot store U+0000, and lone surrogates have no encoding: both become the replacement character.
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_MAX_REMEMBERED = 4096


def escape(text: str) -> str:
    """Return `text` as a field of COPY text format: cut to MAX_CHARACTERS, unstorable characters replaced."""
    return _SPECIAL.sub(lambda match: _ESCAPES.get(match[0], "\ufffd"), text[:MAX_CHARACTERS])


def escape_redacted(text: str) -> str:
    """Like `escape`, for text that a client chose and that may therefore hold a secret.

    The cut comes second, lest it leave half a secret that is no longer recognised, but a generous first cut
    bounds the work.
    """
    return escape(redact(text[: 4 * MAX_CHARACTERS]))


class _Remembered(dict[str | None, str]):
    """Field by text, computed once: most values of most columns come back call after call."""

    def __init__(self, compute: Callable[[str], str]) -> None:
        super().__init__({None: NULL})
        self._compute = compute

    def __missing__(self, text: str) -> str:
        field = self._compute(text)
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
            self[None] = NULL
        if len(text) <= MAX_CHARACTERS:
            self[text] = field
        return field


def _int4(value: int) -> int:
    """Return a number that an upstream chose, brought into the column's range."""
    return max(-_INT4_MAX, min(_INT4_MAX, value))


def _identifier(text: str | None) -> str:
    """Return a field whose value differs at each call. Letters and digits alone need no look, so no memory either."""
    if text is None:
        return NULL
    return text if text.isalnum() and len(text) <= 128 else escape_redacted(text)


class LineFormatter:
    """Formats records; keeps the fields it has seen and the text of the current second."""

    def __init__(self) -> None:
        self._own = _Remembered(escape)
        self._foreign = _Remembered(escape_redacted)
        self._second = -1
        self._second_text = ""

    def format(self, record: RequestRecord) -> bytes:
        """Return the record's line, newline included. Raises nothing for any text; numbers must be numbers."""
        own, foreign = self._own, self._foreign
        at, key_id, code = record.at, record.key_id, record.jsonrpc_code
        upstream_us, first_byte_us = record.upstream_us, record.first_byte_us
        auth_us, limit_us = record.auth_us, record.limit_us
        try:
            second = int(at)
        except (ValueError, OverflowError):  # NaN, infinity
            at, second = -1.0, -1
        if second != self._second or at < 0:
            at, second = self._begin_second(at)
        own_id = record.id
        # Most calls bring neither: both are then the very id of the record.
        request_id = own_id if record.request_id is own_id else _identifier(record.request_id)
        trace_id = own_id if record.trace_id is own_id else _identifier(record.trace_id)
        return (
            f"{own_id}\t{self._second_text}{int((at - second) * 1e6):06d}+00"
            f"\t{foreign[record.namespace]}\t{own[record.upstream]}\t{NULL if key_id is None else key_id}"
            f"\t{own[record.user_id]}\t{foreign[record.method]}\t{foreign[record.tool]}\t{own[record.outcome]}"
            f"\t{own[record.reason]}\t{record.http_status}\t{NULL if code is None else _int4(code)}"
            f"\t{record.total_us}\t{NULL if upstream_us is None else upstream_us}"
            f"\t{NULL if first_byte_us is None else first_byte_us}\t{record.request_bytes}\t{record.response_bytes}"
            f"\t{foreign[record.protocol_version]}\t{foreign[record.client_name]}\t{own[record.session]}"
            f"\t{foreign[record.client_address]}\t{request_id}\t{trace_id}"
            f"\t{NULL if auth_us is None else auth_us}\t{NULL if limit_us is None else limit_us}\n"
        ).encode()

    def _begin_second(self, at: float) -> tuple[float, int]:
        """Keep the text of another second and return the moment meant: the present for a time that is none."""
        if not 0 <= at < 253402300800:  # the year 10000
            at = time.time()
        self._second = int(at)
        self._second_text = time.strftime("%Y-%m-%d %H:%M:%S.", time.gmtime(self._second))
        return at, self._second
