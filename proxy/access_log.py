"""One line a call on standard error, gathered and written in blocks so that it costs the hot path little."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keys.redaction import redact

if TYPE_CHECKING:
    import asyncio

    from analytics.record import RequestRecord

FLUSH_S = 0.1
FLUSH_LINES = 200
MAX_TEXT = 512
REMEMBERED = 4096
_ERRORS = frozenset(("upstream_error", "timeout", "unavailable"))
_FINE = frozenset(("ok", "tool_error", "rpc_error", "client_gone"))


def _level(outcome: str) -> str:
    if outcome in _FINE:
        return "info"
    return "error" if outcome in _ERRORS else "warning"


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
        self._quoted: dict[str | None, str] = {}
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
        quote = self._quote
        return (
            f'{{"time": "{self._second_text}.{int((record.at - second) * 1000):03d}+00:00"'
            f', "level": "{_level(record.outcome)}", "logger": "gateway.call", "message": "request_completed"'
            f', "request_id": "{record.request_id}", "namespace": {quote(record.namespace)}'
            f', "upstream": {quote(record.upstream)}, "method": {quote(record.method)}, "tool": {quote(record.tool)}'
            f', "outcome": "{record.outcome}", "reason": {quote(record.reason)}, "status": {record.http_status}'
            f', "latency_ms": {record.total_us / 1000:.2f}, "user_id": {quote(record.user_id)}'
            f', "key_id": {record.key_id or "null"}, "client": {quote(record.client_name)}'
            f', "client_ip": {quote(record.client_address)}}}\n'
        )

    def _quote(self, text: str | None) -> str:
        """Return a value as JSON, secrets masked; what repeats is remembered."""
        quoted = self._quoted.get(text)
        if quoted is None:
            if len(self._quoted) >= REMEMBERED:
                self._quoted.clear()
            quoted = self._quoted[text] = "null" if text is None else json.dumps(redact(text[:MAX_TEXT]))
        return quoted

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
