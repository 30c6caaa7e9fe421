"""Where one call's time went: the stages that the log tells of, in order. Older rows tell fewer."""

from __future__ import annotations

from typing import Any

from analytics import queries
from analytics.rest.rows import ms_of


def stages(call: queries.Call) -> list[dict[str, Any]]:
    """Return name, beginning and duration (milliseconds since the call began) of each stage that is known.

    `authentication` ends when the caller is known, `limits` when rules and limits let the call pass, `waiting` when
    the upstream's answer begins, `answer` when it has ended. The upstream's clock starts at total - upstream time.
    """
    found = []
    if call.auth_us is not None:
        found.append(_stage("authentication", 0, call.auth_us))
        if call.limit_us is not None:
            found.append(_stage("limits", call.auth_us, call.limit_us))
    if call.upstream_us is not None:
        asked = max(0, call.total_us - call.upstream_us)
        first_byte = call.total_us if call.first_byte_us is None else min(asked + call.first_byte_us, call.total_us)
        found.append(_stage("waiting", asked, first_byte))
        if call.first_byte_us is not None:
            found.append(_stage("answer", first_byte, call.total_us))
    return found


def _stage(name: str, start_us: int, end_us: int) -> dict[str, Any]:
    return {"stage": name, "startMs": ms_of(start_us), "durationMs": ms_of(max(0, end_us - start_us))}
