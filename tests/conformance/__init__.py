"""The protocol's conformance suite, against servers directly and through the gateway; start with run.py."""
