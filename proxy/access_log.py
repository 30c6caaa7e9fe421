"""One line a call on standard error, gathered and written in blocks so that it costs the hot path little."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from keys.redaction import redact

if TYPE_CHECKING:
    import asyncio

    from analytics.record import RequestRecord

FLUSH_S = 0.1
FLUSH_LINES = 200
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

    @staticmethod
    def _json(record: RequestRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.at, UTC).isoformat(timespec="milliseconds"),
            "level": _level(record.outcome),
            "logger": "gateway.call",
            "message": "request_completed",
            "request_id": record.request_id,
            "namespace": record.namespace,
            "upstream": record.upstream,
            "method": record.method,
            "tool": redact(record.tool) if record.tool else None,
            "outcome": record.outcome,
            "reason": record.reason,
            "status": record.http_status,
            "latency_ms": round(record.total_us / 1000, 2),
            "user_id": record.user_id,
            "key_id": record.key_id,
            "client": redact(record.client_name) if record.client_name else None,
            "client_ip": record.client_address,
        }
        return json.dumps({name: value for name, value in line.items() if value is not None}) + "\n"

    @staticmethod
    def _text(record: RequestRecord) -> str:
        clock = datetime.fromtimestamp(record.at, UTC).strftime("%H:%M:%S")
        what = " ".join(part for part in (record.method, redact(record.tool or "")) if part)
        outcome = record.outcome if record.reason is None else f"{record.outcome} ({record.reason})"
        line = (
            f"{clock} {record.http_status} {record.total_us / 1000:8.1f} ms  {record.namespace or '-':<16} "
            f"{record.user_id or '-':<16} {what:<32} {outcome}"
        )
        return line.encode("unicode_escape").decode("ascii") + "\n"
