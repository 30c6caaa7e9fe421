"""What a standing stream is told when an admin's edit changes which names its client sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from namespaces.sse import Event
from proxy.jsonrpc import META

if TYPE_CHECKING:
    from proxy.exchange import Exchange

# notification -> the member of a listen request that asks for it (2026-07-28)
_ASKED_BY = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}


def notices(exchange: Exchange) -> bytes:
    """Return the list_changed events for one standing stream; empty when it asked for none.

    A legacy GET stream gets all three; a listen stream those that its upstream has granted, tagged with the id of
    the client's listen request.
    """
    events = []
    for method, member in _ASKED_BY.items():
        notification: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if exchange.message is not None:
            if exchange.granted.get(member) is not True:
                continue
            notification["params"] = {"_meta": {META + "subscriptionId": exchange.message.id}}
        events.append(Event(json.dumps(notification, separators=(",", ":")).encode(), b"message").encode())
    return b"".join(events)
