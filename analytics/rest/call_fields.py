"""One call of the request log as an answer shows it: the fields that B.8 publishes, and what else is on record."""

from __future__ import annotations

from typing import Any

from analytics import queries
from analytics.rest.call_parameters import METHODS
from analytics.rest.csv_text import moment
from analytics.rest.log_answers import Call
from analytics.rest.rows import ms_of

COLUMNS = tuple(Call().fields)
_KINDS = {method: kind for kind, method in METHODS.items()}


def fields(call: queries.Call) -> dict[str, Any]:
    """Return a call as B.8 publishes it, and what else is on record."""
    return {
        "id": str(call.id),
        "timestamp": moment(call.at),
        "serverId": call.upstream,
        "toolName": call.tool,
        "durationMs": ms_of(call.total_us),
        "success": call.outcome == "ok",
        "clientId": call.user_id,
        "via": "mcp",
        "namespace": call.namespace,
        "keyId": call.key_id,
        "method": call.method,
        "kind": _KINDS.get(call.method or ""),
        "outcome": call.outcome,
        "reason": call.reason,
        "httpStatus": call.http_status,
        "jsonrpcCode": call.jsonrpc_code,
        "authMs": ms_of(call.auth_us),
        "limitMs": ms_of(call.limit_us),
        "upstreamMs": ms_of(call.upstream_us),
        "firstByteMs": ms_of(call.first_byte_us),
        "requestBytes": call.request_bytes,
        "responseBytes": call.response_bytes,
        "protocolVersion": call.protocol_version,
        "clientName": call.client_name,
        "clientAddress": call.client_address,
        "session": call.session,
        "requestId": call.request_id,
        "traceId": call.trace_id,
    }
