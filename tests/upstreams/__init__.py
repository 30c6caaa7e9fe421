"""Real socket upstreams that the tests put behind the gateway; each runs as `python -m tests.upstreams.NAME`."""
