"""The kinds of fields that answers have, written short."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


def count_of(text: str = "") -> serializers.IntegerField:
    """Return the field of a whole number."""
    return serializers.IntegerField(help_text=text)


def text_of(text: str = "") -> serializers.CharField:
    """Return the field of a text."""
    return serializers.CharField(help_text=text)


def text_or_null(text: str = "") -> serializers.CharField:
    """Return the field of a text that may be null."""
    return serializers.CharField(help_text=text, allow_null=True)


def milliseconds(text: str = "") -> serializers.FloatField:
    """Return the field of a time in milliseconds, which may be null."""
    return serializers.FloatField(help_text=text, allow_null=True)


def with_from(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with `from` before `to`; a class body cannot name it, because it is a word of Python's."""
    found: dict[str, Any] = {}
    for name, field in fields.items():
        if name == "to":
            found["from"] = serializers.DateTimeField(help_text="Beginning of the period.")
        found[name] = field
    return found
