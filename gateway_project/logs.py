"""How log lines look: one JSON object a line for machines, one short line for people; no secrets in either."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

from keys.redaction import redact

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_COLOURS = {"WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[31;1m"}


class RedactionFilter(logging.Filter):
    """Replaces a record's message by its redacted text, and masks its extra fields."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        for name, value in vars(record).items():
            if name not in _STANDARD and isinstance(value, str):
                setattr(record, name, redact(value))
        return True


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, message, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(_extra(record))
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """One line a record for a person at a terminal; coloured only there, and never with NO_COLOR set."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        colour = _COLOURS.get(record.levelname, "") if self._colours() else ""
        extra = " ".join(f"{name}={value}" for name, value in _extra(record).items())
        text = f"{clock} {record.levelname.lower():<7} {record.getMessage()} {extra}".rstrip()
        text = text.replace("\r", "\\r").replace("\n", "\\n")
        if record.exc_info:
            text += "\n" + redact(self.formatException(record.exc_info))
        return f"{colour}{text}\033[0m" if colour else text

    @staticmethod
    def _colours() -> bool:
        return sys.stderr.isatty() and "NO_COLOR" not in os.environ
