"""The query parameters of the request log (B.8): which calls, and how many of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature, Signer
from rest_framework import serializers

from analytics import queries
from analytics.record import OUTCOMES
from analytics.rest.fields import MAX_ID, FlagField, MomentField, NameField, WholeNumberField, WordField
from analytics.rest.parameters import FilterParameters, check_span

MAX_PAGE = 500
MAX_MS = 366 * 86_400_000
DEFAULT_PAGE = 50
# What a kind of thing is called by.
METHODS = {"tool": "tools/call", "resource": "resources/read", "prompt": "prompts/get"}
# Two names for one filter: ours, and the one that B.8 publishes.
_TWINS = (("client", "user"), ("server", "upstream"), ("since", "from"), ("until", "to"))


class CallParameters(FilterParameters):
    """Of GET /api/v1/requests."""

    limit = WholeNumberField(
        min_value=1,
        max_value=MAX_ID,
        required=False,
        help_text=f"Most rows: 1 to {MAX_PAGE}, {DEFAULT_PAGE} when nothing is said. As CSV up to GATEWAY_CSV_MAX_ROWS"
        " (100,000 unless set), and as many when nothing is said.",
    )
    cursor = NameField(help_text="`nextCursor` of the answer before: the next older rows. The other parameters stay.")
    since = MomentField(required=False, help_text="The same as `from`; milliseconds since 1970 are taken too.")
    until = MomentField(required=False, help_text="The same as `to`; milliseconds since 1970 are taken too.")
    server = NameField(help_text="The same as `upstream`.")
    client = NameField(help_text="The same as `user`.")
    success = FlagField(required=False, help_text="`true`: calls that ended `ok`; `false`: all others.")
    via = WordField(
        choices=["mcp", "rest"], required=False, help_text="How the call came in. Today every call comes by MCP."
    )
    kind = WordField(
        choices=list(METHODS), required=False, help_text="Calls of tools, reads of resources, or uses of prompts."
    )
    outcome = WordField(choices=list(OUTCOMES), required=False, help_text="How the call ended.")
    reason = NameField(help_text="The finer reason, as in the error answer.")
    method = NameField(help_text="The MCP method, such as `tools/list`.")
    slower_than_ms = WholeNumberField(
        min_value=0, max_value=MAX_MS, required=False, help_text="Only calls that took longer, in milliseconds."
    )
    request_id = NameField(help_text="X-Request-Id of the call's answer.")

    default_period = timedelta(days=7)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Bring twins together and check what depends on each other. Raises ValidationError that names a parameter."""
        for published, ours in _TWINS:
            if published in attrs and ours in attrs:
                raise serializers.ValidationError({published: f"it means the same as {ours}; send one of them"})
        check_span(attrs, "since", "until")
        for published, ours in _TWINS:
            if published in attrs:
                attrs[ours] = attrs.pop(published)
        attrs = super().validate(attrs)
        success, outcome = attrs.get("success"), attrs.get("outcome")
        if success is not None and outcome is not None and success != (outcome == "ok"):
            raise serializers.ValidationError({"success": f"no call with the outcome {outcome} is one"})
        if "kind" in attrs and attrs.get("method", METHODS[attrs["kind"]]) != METHODS[attrs["kind"]]:
            raise serializers.ValidationError({"kind": "it names another method than the parameter method"})
        if "cursor" in attrs:
            attrs["cursor"] = opened(attrs["cursor"])
        return attrs | {"limit": self._limit(attrs.get("limit"))}

    def _limit(self, limit: int | None) -> int:
        is_csv = self.context.get("format") == "csv"
        most = settings.CSV_MAX_ROWS if is_csv else MAX_PAGE
        if limit is not None and limit > most:
            raise serializers.ValidationError({"limit": f"write a whole number from 1 to {most}"})
        return limit or (most if is_csv else DEFAULT_PAGE)


def wanted(given: Mapping[str, Any]) -> queries.CallFilter:
    """Return what single calls must be like."""
    outcome = given.get("outcome") or ("ok" if given.get("success") else None)
    return queries.CallFilter(
        outcome=outcome,
        errors_only=given.get("success") is False,
        reason=given.get("reason"),
        method=given.get("method") or METHODS.get(given.get("kind", "")),
        slower_than_us=None if "slower_than_ms" not in given else given["slower_than_ms"] * 1000,
        request_id=given.get("request_id"),
    )


def sealed(cursor: str | None) -> str | None:
    """Return a cursor with a signature, so that only what an answer gave out is taken back."""
    return None if cursor is None else Signer(salt="analytics.cursor").sign(cursor)


def opened(cursor: str) -> str:
    """Return the cursor that `sealed` was given. Raises ValidationError for any other text."""
    try:
        return Signer(salt="analytics.cursor").unsign(cursor)
    except BadSignature:
        raise serializers.ValidationError({"cursor": "this is no nextCursor of an earlier answer"}) from None
