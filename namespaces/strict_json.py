"""The one strict reading of JSON, for what clients send and for what upstreams answer."""

from __future__ import annotations

from typing import Any

from jiter import from_json


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text, read strictly: no key twice, no NaN, no bad UTF-8, no lone surrogate.

    Raises ValueError, whose text says what is wrong and where, for anything ambiguous or malformed.
    """
    return from_json(body, catch_duplicate_keys=True, allow_inf_nan=False, cache_mode="none")
