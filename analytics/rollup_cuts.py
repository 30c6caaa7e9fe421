"""Which roll-ups there are: a cut is one question asked of the log, with the names that it keeps apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from analytics.record import OUTCOMES

# Outcomes with a column of their own; `ok` is what remains of the calls.
FAILURES = tuple(outcome for outcome in OUTCOMES if outcome != "ok")
NAMES = ("namespace", "upstream", "user_id", "key_id", "tool", "reason")

# Latency histogram: bin i holds durations in (GAMMA ** (i - 1), GAMMA ** i] microseconds; the middle of a bin is at
# most (GAMMA - 1) / (GAMMA + 1) = 4.8 % away from any value in it.
GAMMA = 1.1
BIN_SHIFT = 48


@dataclass(frozen=True, slots=True)
class Cut:
    """One question: its number in the tables, its names, which rows count, and the grains it is kept at."""

    number: int
    names: tuple[str, ...]
    rows: str = "true"
    grains: tuple[str, ...] = ("minute", "hour", "day")


TRAFFIC = Cut(1, ("namespace", "upstream"))
PEOPLE = Cut(2, ("user_id",), "user_id IS NOT NULL")
# A namespace mounts one upstream, so naming that too adds hardly a row.
CALLERS = Cut(3, ("namespace", "upstream", "user_id", "key_id"), "user_id IS NOT NULL")
TOOLS = Cut(4, ("namespace", "upstream", "tool"), "tool IS NOT NULL AND method = 'tools/call'")
USER_TOOLS = Cut(
    5,
    ("namespace", "upstream", "user_id", "key_id", "tool"),
    "user_id IS NOT NULL AND tool IS NOT NULL AND method = 'tools/call'",
    ("day",),
)
# Few calls fail, so what failed can keep every name: who caused it, where, and why.
TROUBLE = Cut(6, NAMES, "outcome <> 'ok'")
CUTS = (TRAFFIC, PEOPLE, CALLERS, TOOLS, USER_TOOLS, TROUBLE)

GRAINS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
