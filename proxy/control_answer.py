"""Small answers that the gateway reads for itself: to its probes, its session openings, its own list requests."""

from __future__ import annotations

from typing import Any

from namespaces.sse import EventReader, EventTooLarge
from proxy.jsonrpc import read_answer
from proxy.upstream import UpstreamAnswer

# A list of ten thousand tools fits.
CONTROL_ANSWER_BYTES = 16 << 20


def code_of(value: dict[str, Any]) -> int | None:
    """Return the JSON-RPC error code of a response; None when it holds none."""
    error = value.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None


async def error_of(answer: UpstreamAnswer) -> tuple[int | None, Any]:
    """Return (error code, error text) of an answer, or (None, result) of a good one; the body stays readable."""
    value = await read_response(answer)
    if not isinstance(value, dict):
        return None, None
    error = value.get("error")
    if isinstance(error, dict):
        return code_of(value), error.get("message")
    return None, value.get("result")


async def read_response(answer: UpstreamAnswer) -> Any:
    """Return the decoded JSON-RPC response of a small answer, JSON or event stream; None when there is none."""
    if "text/event-stream" not in answer.headers.get("content-type", ""):
        try:
            return read_answer(await answer.read(CONTROL_ANSWER_BYTES))
        except (ValueError, RecursionError):
            return None
    reader = EventReader(CONTROL_ANSWER_BYTES)
    async for chunk in answer.chunks():
        try:
            for event in reader.feed(chunk):
                value = read_answer(event.data) if event.data else None
                if isinstance(value, dict) and ("result" in value or "error" in value):
                    return value
        except (EventTooLarge, ValueError, RecursionError):
            return None
    return None
