"""What the frame of every page needs from Python: the navigation and the present moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

register = template.Library()

# What a person has chosen to look at stays chosen from page to page.
KEPT = ("period", "from", "to", "namespace", "mine")

# URL name, label, and the names of further pages that belong to the entry.
ENTRIES = (
    ("dashboard:overview", "Overview", ()),
    ("dashboard:namespaces", "Namespaces", ("dashboard:namespace",)),
    ("dashboard:users", "Users", ("dashboard:user", "dashboard:key")),
    ("dashboard:tools", "Tools", ("dashboard:tool",)),
    ("dashboard:upstreams", "Upstreams", ("dashboard:upstream",)),
    ("dashboard:health", "Health", ()),
    ("dashboard:requests", "Requests", ("dashboard:request",)),
    ("dashboard:live", "Live", ()),
    ("dashboard:quotas", "Quotas", ()),
    ("my-keys", "My keys", ("my-key-issue", "my-key-rotate", "my-key-revoke", "team")),
)
_STAFF_ENTRY = ("admin:index", "Admin", ())


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the navigation."""

    label: str
    url: str
    is_current: bool
    is_exact: bool


@register.simple_tag(takes_context=True)
def navigation(context: dict[str, Any]) -> list[Entry]:
    """Return the links of the navigation; a page that does not exist (yet) has none."""
    request = context["request"]
    match = getattr(request, "resolver_match", None)
    here = match.view_name if match else ""
    kept = urlencode({name: value for name in KEPT if (value := request.GET.get(name))})
    wanted = [*ENTRIES, _STAFF_ENTRY] if request.user.is_staff else ENTRIES
    entries = []
    for name, label, further in wanted:
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        if kept and name.startswith("dashboard:"):
            url = f"{url}?{kept}"
        entries.append(Entry(label, url, here == name or here in further, here == name))
    return entries


@register.simple_tag
def moment_now() -> SafeString:
    """Return the present moment in UTC, to the second."""
    now = timezone.now()
    # format_html makes text of its arguments first, so their format stands here.
    exact, shown = f"{now:%Y-%m-%dT%H:%M:%SZ}", f"{now:%Y-%m-%d %H:%M:%S}"
    return format_html('<time datetime="{}">{} UTC</time>', exact, shown)
