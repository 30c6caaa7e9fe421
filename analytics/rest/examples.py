"""Examples of answers for the API's description; a test holds them to their schema."""

from __future__ import annotations

from typing import Any

_DAY = {"from": "2026-11-20T09:00:00Z", "to": "2026-11-21T09:00:00Z"}
_MEASURES = {
    "request_count": 1840,
    "error_count": 12,
    "error_rate": 0.006522,
    "avg_latency_ms": 84.213,
    "p50_latency_ms": 61.7,
    "p95_latency_ms": 240.5,
    "p99_latency_ms": 512.9,
    "total_request_bytes": 402113,
    "total_response_bytes": 9120477,
}
_COUNTS = {
    "requests": 1840,
    "errors": 12,
    "successRate": 0.993478,
    "avgLatencyMs": 84.213,
    "p95LatencyMs": 240.5,
    "p99LatencyMs": 512.9,
}

USAGE: dict[str, Any] = {
    "period": "168h0m0s",
    "results": [
        {
            "user_id": "alice",
            "namespace": "search",
            "request_count": 1840,
            "error_count": 12,
            "avg_latency_ms": 84.213,
            "total_request_bytes": 402113,
            "total_response_bytes": 9120477,
        }
    ],
}
USER: dict[str, Any] = {
    "period": "24h0m0s",
    **_DAY,
    "user_id": "alice",
    "totals": _MEASURES,
    "namespaces": [{"namespace": "search"} | _MEASURES],
    "tools": [{"tool_name": "find_documents", "namespace": "search"} | _MEASURES],
    "keys": [{"key_id": 7} | _MEASURES],
    "outcomes": [
        {"outcome": "ok", "reason": None, "request_count": 1828, "share": 0.993478},
        {"outcome": "timeout", "reason": "first_byte_timeout", "request_count": 12, "share": 0.006522},
    ],
}
TOOLS: dict[str, Any] = {
    "period": "168h0m0s",
    "tools": [
        {
            "tool_name": "find_documents",
            "namespace": "search",
            "invocations": 1840,
            "unique_users": 14,
            "avg_latency_ms": 84.213,
            "error_rate": 0.006522,
        }
    ],
}
SERIES: dict[str, Any] = {
    "period": "24h0m0s",
    "bucket": "1h0m0s",
    "data": [{"timestamp": "2026-11-20T09:00:00Z", "value": 77}, {"timestamp": "2026-11-20T10:00:00Z", "value": 0}],
}
SUMMARY: dict[str, Any] = {
    "period": "24h0m0s",
    "current": _DAY | _MEASURES | {"active_users": 14},
    "before": {"from": "2026-11-19T09:00:00Z", "to": "2026-11-20T09:00:00Z"} | _MEASURES | {"active_users": 11},
}
OUTCOMES: dict[str, Any] = {"period": "24h0m0s", **_DAY, "outcomes": USER["outcomes"]}
METRICS: dict[str, Any] = {
    "totalRequests": 1840,
    "successRate": 0.993478,
    "avgLatencyMs": 84.213,
    "p50LatencyMs": 61.7,
    "p95LatencyMs": 240.5,
    "p99LatencyMs": 512.9,
    "requestsPerMinute": 30.667,
    "topTools": [{"toolName": "find_documents", "serverId": "docs", "namespace": "search"} | _COUNTS],
    "topServers": [{"serverId": "docs"} | _COUNTS],
    "errorsByServer": {"docs": 12},
    "servers": [{"serverId": "docs"} | _COUNTS],
    "windowMs": 3600000,
    "from": "2026-11-21T08:00:00Z",
    "to": "2026-11-21T09:00:00Z",
}
CALL: dict[str, Any] = {
    "id": "0192f0c1-7a44-4f0e-9d6b-2f6f1f8f2a10",
    "timestamp": "2026-11-21T08:59:41.207Z",
    "serverId": "docs",
    "toolName": "find_documents",
    "durationMs": 61.704,
    "success": True,
    "clientId": "alice",
    "via": "mcp",
    "namespace": "search",
    "keyId": 7,
    "method": "tools/call",
    "kind": "tool",
    "outcome": "ok",
    "reason": None,
    "httpStatus": 200,
    "jsonrpcCode": None,
    "authMs": 0.041,
    "limitMs": 0.203,
    "upstreamMs": 60.9,
    "firstByteMs": 58.2,
    "requestBytes": 212,
    "responseBytes": 4871,
    "protocolVersion": "2025-06-18",
    "clientName": "an-agent/1.4",
    "clientAddress": None,
    "session": None,
    "requestId": "0a8b07405567d918d034a0490f773ba4",
    "traceId": None,
}
CALLS: dict[str, Any] = {"requests": [CALL], "nextCursor": None, "source": "postgres"}
ONE_CALL: dict[str, Any] = CALL | {
    "stages": [
        {"stage": "authentication", "startMs": 0.0, "durationMs": 0.041},
        {"stage": "limits", "startMs": 0.041, "durationMs": 0.162},
        {"stage": "waiting", "startMs": 0.804, "durationMs": 58.2},
        {"stage": "answer", "startMs": 59.004, "durationMs": 2.7},
    ]
}
