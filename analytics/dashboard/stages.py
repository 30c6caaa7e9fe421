"""What a call's time went into, one stage after the other, from what the log keeps of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from analytics.queries import Call


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, in microseconds since the request began; `tone` chooses its colour, `meaning` explains it."""

    label: str
    begin_us: int
    end_us: int
    tone: str
    meaning: str

    @property
    def took_us(self) -> int:
        """How long the stage took."""
        return self.end_us - self.begin_us


_MEANINGS = {
    "Authentication": "Host and Origin were checked and the key was found.",
    "Rules and limits": "The body was read, the rules and the rate limit were asked.",
    "In the gateway": "Everything until the call was handed to the upstream.",
    "Handing over": "The request was prepared for the upstream.",
    "Waiting for the upstream": "From the first byte sent until the upstream's answer began.",
    "Answer": "The answer went through to the client, as a whole or as a stream.",
    "Answering": "The gateway answered by itself; no upstream was asked.",
}


def stages(call: Call) -> list[Stage]:
    """Return the stages of a call.

    The upstream's part ends with the call, so it began at total − upstream; its first byte counts from there. Rows of
    the time before `auth_us` and `limit_us` were kept have one stage in the place of the first two.
    """
    total = call.total_us
    marks: list[tuple[str, int | None, str]] = []
    upstream = None if call.upstream_us is None else max(total - call.upstream_us, 0)
    if call.auth_us is not None:
        marks.append(("Authentication", call.auth_us, "auth"))
    if call.limit_us is not None:
        marks.append(("Rules and limits", call.limit_us, "limit"))
    if upstream is not None:
        marks.append(("Handing over" if marks else "In the gateway", upstream, "gateway"))
        first = None if call.first_byte_us is None else upstream + call.first_byte_us
        marks.append(("Waiting for the upstream", total if first is None else first, "wait"))
        if first is not None:
            marks.append(("Answer", total, "answer"))
    else:
        marks.append(("Answering" if marks else "In the gateway", total, "gateway"))
    return _joined(marks, total)


def _joined(marks: list[tuple[str, int | None, str]], total: int) -> list[Stage]:
    """Return stages that follow each other; clocks that disagree by a little make none of them negative."""
    found, at = [], 0
    for label, end, tone in marks:
        until = min(max(end or 0, at), total)
        found.append(Stage(label, at, until, tone, _MEANINGS[label]))
        at = until
    return found
