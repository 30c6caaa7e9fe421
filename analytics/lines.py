"""How a request record becomes one line in COPY text format. Pure; whatever the text, the line can be stored."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from operator import attrgetter
from typing import TypeVar

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


# Namespace, upstream, key id, user id, method, tool, outcome, reason, HTTP status, JSON-RPC code.
_What = tuple[str | None, str | None, int | None, str | None, str | None, str | None, str, str | None, int, int | None]
# Protocol version, client's name, session, client's address.
_Who = tuple[str | None, str | None, str | None, str | None]
# One call brings them all, where naming each costs a step of the interpreter each.
_what_of = attrgetter(
    *("namespace", "upstream", "key_id", "user_id", "method", "tool", "outcome", "reason", "http_status"),
    "jsonrpc_code",
)
_who_of = attrgetter("protocol_version", "client_name", "session", "client_address")
_Key = TypeVar("_Key", _What, _Who)


def _remember(known: dict[_Key, str], key: _Key, fields: str) -> str:
    """Keep the fields of a key, unless its texts are long, and return them; a table that is full begins anew."""
    if sum(len(part) for part in key if isinstance(part, str)) <= 2 * MAX_CHARACTERS:
        if len(known) >= _MAX_REMEMBERED:
            known.clear()
        known[key] = fields
    return fields


class LineFormatter:
    """Formats records; keeps the fields it has seen, and the text of the current second.

    Most calls are like one before in all but their ids, times and sizes: what they share is remembered in two pieces.
    """

    def __init__(self) -> None:
        self._own = _Remembered(escape)
        self._foreign = _Remembered(escape_redacted)
        self._whats: dict[_What, str] = {}
        self._whos: dict[_Who, str] = {}
        self._second = -1
        self._second_text = ""

    def format(self, record: RequestRecord) -> bytes:
        """Return the record's line, newline included. Raises nothing for any text; numbers must be numbers."""
        at, upstream_us, first_byte_us = record.at, record.upstream_us, record.first_byte_us
        auth_us, limit_us = record.auth_us, record.limit_us
        try:
            second = int(at)
        except (ValueError, OverflowError):  # NaN, infinity
            at, second = -1.0, -1
        if second != self._second or at < 0:
            at, second = self._begin_second(at)
        what, who = _what_of(record), _who_of(record)
        own_id = record.id
        # Most calls bring neither: both are then the very id of the record.
        request_id = own_id if record.request_id is own_id else _identifier(record.request_id)
        trace_id = own_id if record.trace_id is own_id else _identifier(record.trace_id)
        return (
            f"{own_id}\t{self._second_text}{int((at - second) * 1e6):06d}+00"
            f"\t{self._whats.get(what) or self._what(what)}"
            f"\t{record.total_us}\t{NULL if upstream_us is None else upstream_us}"
            f"\t{NULL if first_byte_us is None else first_byte_us}\t{record.request_bytes}\t{record.response_bytes}"
            f"\t{self._whos.get(who) or self._who(who)}\t{request_id}\t{trace_id}"
            f"\t{NULL if auth_us is None else auth_us}\t{NULL if limit_us is None else limit_us}\n"
        ).encode()

    def _what(self, what: _What) -> str:
        """Return the fields that say what was called by whom, and how it ended."""
        own, foreign = self._own, self._foreign
        namespace, upstream, key_id, user_id, method, tool, outcome, reason, http_status, code = what
        fields = (
            f"{foreign[namespace]}\t{own[upstream]}\t{NULL if key_id is None else key_id}"
            f"\t{own[user_id]}\t{foreign[method]}\t{foreign[tool]}\t{own[outcome]}"
            f"\t{own[reason]}\t{http_status}\t{NULL if code is None else _int4(code)}"
        )
        return _remember(self._whats, what, fields)

    def _who(self, who: _Who) -> str:
        """Return the fields that say which client it was."""
        own, foreign = self._own, self._foreign
        protocol_version, client_name, session, client_address = who
        fields = f"{foreign[protocol_version]}\t{foreign[client_name]}\t{own[session]}\t{foreign[client_address]}"
        return _remember(self._whos, who, fields)

    def _begin_second(self, at: float) -> tuple[float, int]:
        """Keep the text of another second and return the moment meant: the present for a time that is none."""
        if not 0 <= at < 253402300800:  # the year 10000
            at = time.time()
        self._second = int(at)
        self._second_text = time.strftime("%Y-%m-%d %H:%M:%S.", time.gmtime(self._second))
        return at, self._second
