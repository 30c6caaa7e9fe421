"""The families of numbers that processes count. Their labels stand here; what Prometheus sees is made of them."""

from __future__ import annotations

# C.4's buckets, in seconds.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CALLS = "calls"  # HTTP method, path, status, auth_type, upstream, outcome
DURATIONS = "durations"  # HTTP method, path, upstream: one cell a bucket, one beyond, and the sum in microseconds
METHODS = "methods"  # JSON-RPC method, upstream
TOOLS = "tools"  # tool, upstream, ok or error
REFUSALS = "refusals"  # outcome, reason
UPSTREAM_ERRORS = "upstream_errors"  # upstream, reason
REJECTIONS = "rejections"  # identity, reason
ROWS_WRITTEN = "rows_written"
ROWS_DROPPED = "rows_dropped"  # full or failed
CPU = "cpu"  # process
PROCESS = "process"  # process: when it was written (monotonic clock), then PROCESS_GAUGES
PROCESS_GAUGES = ("in_flight", "streams", "snapshot_age_s", "lag_s", "resident_bytes", "open_fds")
# How long the gauges of a process that no longer writes them are told.
FRESH_S = 5.0
