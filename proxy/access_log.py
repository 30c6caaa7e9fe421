"""One line a call on standard error, gathered and written in blocks so that it costs the hot path little."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING

from keys.redaction import redact

if TYPE_CHECKING:
    import asyncio

    from analytics.record import RequestRecord

FLUSH_S = 0.1
FLUSH_LINES = 200
MAX_TEXT = 512
REMEMBERED = 4096
_LEVELS = dict.fromkeys(("ok", "tool_error", "rpc_error", "client_gone"), "info") | dict.fromkeys(
    ("upstream_error", "timeout", "unavailable"), "error"
)
# Namespace, upstream, method, tool, outcome, reason, status.
_What = tuple[str | None, str | None, str | None, str | None, str, str | None, int]
# User id, key id, client's name, client's address.
_Who = tuple[str | None, int | None, str | None, str | None]
_what_of = attrgetter("namespace", "upstream", "method", "tool", "outcome", "reason", "http_status")
_who_of = attrgetter("user_id", "key_id", "client_name", "client_address")


class AccessLog:
    """Writes one JSON line a call, or a short line for a person when `plain`."""

    def __init__(
        self, call_later: Callable[..., asyncio.TimerHandle], plain: bool, descriptor: int | None = None
    ) -> None:
        self._call_later = call_later
        self._line = self._text if plain else self._json
        self._descriptor = sys.stderr.fileno() if descriptor is None else descriptor
        self._lines: list[RequestRecord] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pieces: dict[_What | _Who, str] = {}
        self._second, self._second_text = -1, ""

    def write(self, record: RequestRecord) -> None:
        """Take in the line of a call; it appears within a tenth of a second."""
        self._lines.append(record)
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = self._call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what was gathered. A closed or full standard error must not hurt a call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        with contextlib.suppress(OSError):
            os.write(self._descriptor, "".join(self._line(record) for record in lines).encode("utf-8", "replace"))

    def _json(self, record: RequestRecord) -> str:
        # Written by hand: a dict and json.dumps would look at every name and value anew, at every call.
        second = int(record.at)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        what, who = _what_of(record), _who_of(record)
        return (
            f'{{"time": "{self._second_text}.{int((record.at - second) * 1000):03d}+00:00"'
            f', "level": "{_LEVELS.get(record.outcome, "warning")}", "logger": "gateway.call"'
            f', "message": "request_completed", "request_id": "{record.request_id}", '
            f'{self._pieces.get(what) or self._what(what)}, "latency_ms": {record.total_us / 1000:.2f}, '
            f"{self._pieces.get(who) or self._who(who)}}}\n"
        )

    def _what(self, what: _What) -> str:
        quote = self._quote
        namespace, upstream, method, tool, outcome, reason, status = what
        piece = (
            f'"namespace": {quote(namespace)}, "upstream": {quote(upstream)}, "method": {quote(method)}'
            f', "tool": {quote(tool)}, "outcome": "{outcome}", "reason": {quote(reason)}, "status": {status}'
        )
        return self._remember(what, piece)

    def _who(self, who: _Who) -> str:
        quote = self._quote
        user_id, key_id, client_name, client_address = who
        piece = (
            f'"user_id": {quote(user_id)}, "key_id": {key_id or "null"}, "client": {quote(client_name)}'
            f', "client_ip": {quote(client_address)}'
        )
        return self._remember(who, piece)

    def _remember(self, key: _What | _Who, piece: str) -> str:
        """Keep what many calls share, unless its texts are long, and return it."""
        if sum(len(part) for part in key if isinstance(part, str)) <= 2 * MAX_TEXT:
            if len(self._pieces) >= REMEMBERED:
                self._pieces.clear()
            self._pieces[key] = piece
        return piece

    @staticmethod
    def _quote(text: str | None) -> str:
        """Return a value as JSON, secrets masked."""
        return "null" if text is None else json.dumps(redact(text[:MAX_TEXT]))

    @staticmethod
    def _text(record: RequestRecord) -> str:
        clock = datetime.fromtimestamp(record.at, UTC).strftime("%H:%M:%S")
        what = redact(" ".join(part for part in (record.method, record.tool) if part))
        outcome = record.outcome if record.reason is None else f"{record.outcome} ({record.reason})"
        line = (
            f"{clock} {record.http_status} {record.total_us / 1000:8.1f} ms  {record.namespace or '-':<16} "
            f"{record.user_id or '-':<16} {what:<32} {outcome}"
        )
        return line.encode("unicode_escape").decode("ascii") + "\n"
