"""How calls end, in words: a tone for the dot, and a sentence for those who meet the code for the first time."""

from __future__ import annotations

from analytics.dashboard.tables import Cell

# outcome -> tone, sentence
OUTCOMES = {
    "ok": ("ok", "The call was answered as it should be."),
    "tool_error": ("error", "The tool ran and reported an error of its own."),
    "rpc_error": ("error", "The upstream answered with a JSON-RPC error."),
    "denied": ("warn", "The rules of the namespace or the key do not allow it."),
    "limited": ("warn", "The key went over its rate limit."),
    "unauthenticated": ("warn", "There was no key, or it was wrong, revoked or expired."),
    "invalid": ("warn", "The request was not valid MCP."),
    "upstream_error": ("error", "The upstream could not be reached or its answer was broken."),
    "timeout": ("error", "The upstream did not answer in time."),
    "client_gone": ("muted", "The client left before the answer was complete."),
    "unavailable": ("error", "The gateway could not serve the call."),
}


def outcome_cell(outcome: str, url: str = "") -> Cell:
    """Return an outcome with its dot, explained on hover."""
    tone, sentence = OUTCOMES.get(outcome, ("muted", ""))
    return Cell(outcome.replace("_", " "), url, sentence, tone)
