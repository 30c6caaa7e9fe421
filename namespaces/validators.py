"""Checks of single values that admins and configuration files enter."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

from namespaces import egress
from namespaces.rules import check_pattern

SLUG_PATTERN = r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"
_SLUG = re.compile(SLUG_PATTERN)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Headers that belong to the connection, the protocol or the gateway; an upstream credential may not set them.
RESERVED_HEADERS = frozenset(
    "host connection content-length content-type transfer-encoding te trailer upgrade keep-alive accept"
    " accept-encoding expect mcp-session-id mcp-protocol-version mcp-method mcp-name last-event-id".split()
)


def validate_slug(value: str) -> None:
    """Refuse a name that cannot stand in a URL or that holds `__`, which separates namespace and tool."""
    if not _SLUG.fullmatch(value) or "__" in value:
        raise ValidationError(
            "%(value)s: use 1 to 64 lower-case letters, digits, “-” and single “_”, a letter or digit at both ends.",
            params={"value": repr(value[:80])},
            code="slug",
        )


def validate_patterns(values: list[str]) -> None:
    """Refuse rule patterns that match nothing, everything by accident, or slowly."""
    for value in values:
        if problem := check_pattern(value):
            raise ValidationError(
                "%(value)s: %(problem)s.",
                params={"value": repr(value[:80]), "problem": problem},
                code="pattern",
            )


def validate_header_name(value: str) -> None:
    """Refuse a header name that is no token (RFC 9110 §5.6.2) or that the gateway sets itself."""
    if not _TOKEN.fullmatch(value):
        raise ValidationError("%(value)s is not a header name.", params={"value": repr(value[:80])}, code="header")
    if value.lower() in RESERVED_HEADERS:
        raise ValidationError("%(value)s is set by the gateway itself.", params={"value": value}, code="header")


def validate_header_value(value: str) -> None:
    """Refuse a header value with anything but visible ASCII, blanks and tabs (no CR/LF injection)."""
    if not re.fullmatch(r"[\t\x20-\x7e]+", value) or value != value.strip():
        raise ValidationError(
            "The value may hold visible ASCII characters and inner blanks only (no line breaks).",
            code="header_value",
        )


def validate_upstream_url(value: str) -> None:
    """Refuse a URL that the egress rules forbid by its text alone; names are resolved when connecting."""
    try:
        egress.check_url(value)
    except egress.EgressError as error:
        raise ValidationError("%(problem)s", params={"problem": str(error)}, code=error.reason) from None
