"""What survives which fault. Every test states its load and records what it found; some come short and full."""
