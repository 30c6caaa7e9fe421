"""Every endpoint of the analytics API, found in the URL conf, so that a new one is tested without being named."""

from __future__ import annotations

from typing import Any

from analytics.rest.endpoint import Closed
from analytics.urls import urlpatterns

CALL_ID = "0192f0c1-0000-4000-8000-000000000001"
_FILLINGS = {"<path:user_id>": "alice", "<str:id>": CALL_ID}


def endpoints() -> dict[str, Any]:
    """Return the view class of each path, parameters in the path filled in."""
    found = {}
    for pattern in urlpatterns:
        view = getattr(pattern.callback, "view_class", None)
        if not (isinstance(view, type) and issubclass(view, Closed)):
            continue
        path = f"/{pattern.pattern}"
        for name, filling in _FILLINGS.items():
            path = path.replace(name, filling)
        assert "<" not in path, f"{path} needs a filling"
        found[path] = view
    return found


ENDPOINTS = endpoints()
PATHS = sorted(ENDPOINTS)
# All but the one that asks for the state of upstreams and reads no call.
OF_THE_LOG = [path for path in PATHS if path != "/api/v1/health"]
# Those whose answer has a table.
TABLES = [path for path in PATHS if any(renderer.format == "csv" for renderer in ENDPOINTS[path].renderer_classes)]
