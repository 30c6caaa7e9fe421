"""Rate limits: which apply to a call, where they are counted, and what a caller is told."""
