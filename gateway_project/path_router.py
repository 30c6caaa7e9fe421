"""Channels' router for paths without parameters: where a path leads is worked out once and remembered."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from channels.routing import URLRouter

_REMEMBERED, _REMEMBERED_LENGTH = 1024, 128


class PathRouter(URLRouter):
    """Routes by the decoded path, by Channels' patterns in their order. The scope goes on as it came."""

    def __init__(self, routes: list[Any]) -> None:
        super().__init__(routes)
        self._known: dict[str, Any] = {}

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Return the application's own coroutine."""
        if scope.get("root_path"):
            routed: Awaitable[None] = super().__call__(scope, receive, send)
            return routed
        application = self._known.get(scope["path"])
        if application is None:
            application = self._find(scope["path"])
        answered: Awaitable[None] = application(scope, receive, send)
        return answered

    def _find(self, path: str) -> Any:
        below = path.lstrip("/")
        for route in self.routes:
            if route.pattern.match(below):
                if len(path) <= _REMEMBERED_LENGTH:
                    if len(self._known) >= _REMEMBERED:
                        self._known.clear()  # made-up paths must not fill the memory
                    self._known[path] = route.callback
                return route.callback
        raise ValueError(f"No route leads to {path[:_REMEMBERED_LENGTH]!r}.")
