"""Measurements of the gateway: what a call costs, what latency it adds, and what survives which fault."""
