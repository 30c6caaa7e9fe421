"""What a host counts, and how it is told to Prometheus. Knows nothing of the data plane, which does the counting."""
