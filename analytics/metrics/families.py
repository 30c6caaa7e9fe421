"""The families of numbers that processes count. Their labels stand here; what Prometheus sees is made of them."""

from __future__ import annotations

# C.4's buckets, in seconds.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# HTTP method, path, status, auth_type, upstream, outcome, reason, JSON-RPC method, tool, identity; what does not apply
# is empty. The one count of a call: every counter of calls is a sum of these.
CALLS = "calls"
CALL_LABELS = (
    "method",
    "path",
    "status",
    "auth_type",
    "upstream",
    "outcome",
    "reason",
    "rpc_method",
    "tool",
    "identity",
)
DURATIONS = "durations"  # HTTP method, path, upstream: one cell a bucket, one beyond, and the sum in microseconds
ROWS_BESIDES = "rows_besides"  # rows of the log that are no calls: the openings of streams
ROWS_DROPPED = "rows_dropped"  # full or failed
# What is away (redis or database), and what became of a call: decided alone, or refused.
WITHOUT_STORE = "without_store"
CPU = "cpu"  # process
PROCESS = "process"  # process: when it was written (monotonic clock), then PROCESS_GAUGES
PROCESS_GAUGES = ("in_flight", "streams", "snapshot_age_s", "lag_s", "resident_bytes", "open_fds")
# How long the gauges of a process that no longer writes them are told.
FRESH_S = 5.0
