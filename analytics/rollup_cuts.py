"""Which roll-ups there are: a cut is one question asked of the log, with the names that it keeps apart. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from analytics.record import OUTCOMES

# Outcomes with a column of their own; `ok` is what remains of the calls.
FAILURES = tuple(outcome for outcome in OUTCOMES if outcome != "ok")
NAMES = ("namespace", "upstream", "user_id", "key_id", "tool", "reason")

# Rows of the log that are calls: of a stream's two rows only the second.
COUNTED = "reason IS DISTINCT FROM 'opened'"
# Strangers must not fill the tables with names that they make up: what nobody known asked for, or what was asked for
# in vain, stands under the empty name.
_NAMESPACE = (
    "CASE WHEN (key_id IS NULL AND user_id IS NULL) OR reason = 'namespace_unknown' THEN ''"
    " ELSE coalesce(namespace, '') END"
)
# A call of a tool, unless the tool's name was refused as one that is not there.
_TOOL_CALL = (
    "tool IS NOT NULL AND method = 'tools/call'"
    " AND (reason IS NULL OR reason NOT IN ('tool_denied', 'name_unknown', 'name_denied'))"
)
# Of a call that was refused the tool is whatever the client wrote; of other methods it is a prompt or a resource.
_FAILED_TOOL = (
    "CASE WHEN method = 'tools/call' AND outcome NOT IN ('denied', 'invalid', 'unauthenticated') THEN tool END"
)

# Latency histogram: bin i holds durations in (GAMMA ** (i - 1), GAMMA ** i] microseconds; the middle of a bin is at
# most (GAMMA - 1) / (GAMMA + 1) = 4.8 % away from any value in it. An element is bin << BIN_SHIFT | calls.
GAMMA = 1.1
BIN_SHIFT = 48
CALLS_OF_BIN = (1 << BIN_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class Cut:
    """One question: its number in the tables, its names, which rows count, and the grains it is kept at.

    `rows` is an SQL condition on a row of the log, to be joined with COUNTED; `expressions` says of a name how it
    follows from such a row, where it is not simply the column. Both name columns without a table.
    """

    number: int
    names: tuple[str, ...]
    rows: str = "true"
    grains: tuple[str, ...] = ("minute", "hour", "day")
    keeps_hours: bool = True  # False: of today and yesterday only
    expressions: Mapping[str, str] = field(default_factory=dict)

    def name_sql(self, name: str) -> str:
        """Return the SQL expression on a row of the log whose value the cut keeps as `name`."""
        return self.expressions.get(name) or (_NAMESPACE if name == "namespace" else name)


def bin_sql(column: str) -> str:
    """Return the SQL expression (integer) for the histogram bin of a column of whole microseconds; 0 up to 1 µs."""
    return f"ceil(ln(greatest({column}, 1)::float8) / {math.log(GAMMA)!r})::integer"


# Without any name: the gateway as a whole, one row a minute, hour and day.
WHOLE = Cut(7, ())
TRAFFIC = Cut(1, ("namespace", "upstream"))
PEOPLE = Cut(2, ("user_id",), "user_id IS NOT NULL")
# A namespace mounts one upstream, so naming that too adds hardly a row.
CALLERS = Cut(3, ("namespace", "upstream", "user_id", "key_id"), "user_id IS NOT NULL")
TOOLS = Cut(4, ("namespace", "upstream", "tool"), _TOOL_CALL)
# Almost as many rows as the log has: hours are kept until their day is added up, minutes not at all.
USER_TOOLS = Cut(
    5,
    ("namespace", "upstream", "user_id", "key_id", "tool"),
    f"user_id IS NOT NULL AND {_TOOL_CALL}",
    ("hour", "day"),
    keeps_hours=False,
)
# Few calls fail, so what failed can keep every name: who caused it, where, and why.
TROUBLE = Cut(6, NAMES, "outcome <> 'ok'", expressions={"tool": _FAILED_TOOL})
# How calls ended: the outcomes are columns.
ENDINGS = Cut(8, ("namespace", "upstream", "reason"), "outcome <> 'ok'")
CUTS = (WHOLE, TRAFFIC, PEOPLE, CALLERS, TOOLS, USER_TOOLS, TROUBLE, ENDINGS)

# Complete days up to last midnight that are added up together, for the cuts whose days have many rows: what 7, 30 and
# 90 days have in the middle.
TRAILS = {6: (CALLERS, USER_TOOLS), 29: (CALLERS, USER_TOOLS, TOOLS), 89: (CALLERS, TOOLS)}

GRAINS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


def midnight(day: date) -> datetime:
    """Return the moment (UTC) at which a day begins."""
    return datetime.combine(day, time(), UTC)
