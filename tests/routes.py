"""What can be read: every page and REST address that stands in the URL conf, so that a new one is covered by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.urls import URLPattern, URLResolver, get_resolver

PAGES, REST = "dashboard/", ("analytics/", "api/")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
# What a parameter stands for, by its own name, else by the part of the address before it.
_BY_NAME = {
    "namespace": "namespace",
    "upstream": "upstream",
    "user": "user",
    "user_id": "user",
    "key": "key",
    "key_id": "key",
    "tool": "tool",
    "call_id": "call",
    "request_id": "call",
}
_BY_PLACE = {
    "namespaces": "namespace",
    "upstreams": "upstream",
    "users": "user",
    "keys": "key",
    "tools": "tool",
    "requests": "call",
    "usage": "user",
}


@dataclass(frozen=True, slots=True)
class Route:
    """An address as the URL conf has it, such as `dashboard/tools/<namespace>/<tool>/`."""

    pattern: str

    @property
    def is_page(self) -> bool:
        """Whether people look at it; else programs do."""
        return self.pattern.startswith(PAGES)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What its parameters name: namespace, upstream, user, key, tool or call.

        Raises LookupError for a parameter that nobody has told us about.
        """
        return tuple(kind for _, kind in self._parameters())

    def path(self, names: Mapping[str, object]) -> str:
        """Return the path about the given names (by kind)."""
        path = self.pattern
        for parameter, kind in self._parameters():
            value = quote(str(names[kind]), safe="")
            path = re.sub(rf"<(?:\w+:)?{parameter}>", value.replace("\\", r"\\"), path, count=1)
        return f"/{path}"

    def _parameters(self) -> Iterator[tuple[str, str]]:
        for match in _PARAMETER.finditer(self.pattern):
            before = self.pattern[: match.start()].rstrip("/").rpartition("/")[2]
            kind = _BY_NAME.get(match[1]) or _BY_PLACE.get(before)
            if kind is None:
                raise LookupError(f"{self.pattern}: tell tests/routes.py what <{match[1]}> stands for")
            yield match[1], kind


def readable() -> list[Route]:
    """Return every route of pages and REST addresses that answers GET, in the order of the URL conf."""
    found = dict.fromkeys(
        pattern
        for pattern, view in _walk(get_resolver().url_patterns, "")
        if pattern.startswith((PAGES, *REST)) and _answers_get(view)
    )
    return [Route(pattern) for pattern in found]


def _walk(patterns: Iterable[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry.url_patterns, route)
        else:
            yield route, entry.callback


def _answers_get(view: Any) -> bool:
    """Whether a class-based view has a `get`; a plain function is taken to answer it."""
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return view_class is None or hasattr(view_class, "get")
