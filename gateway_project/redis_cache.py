"""The cache of django-ratelimit where several hosts share a Redis: while that is away, each process counts by itself.

It guards sign-in and the REST API, which must neither fail nor stand open because a counter is missing.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
_PAUSE_S = 2.0


class SharedCounters(RedisCache):
    """Redis, or the cache `ratelimit_alone` for a moment after Redis has failed, so that no page waits for each."""

    _away_until = 0.0

    def _either(self, name: str, *arguments: Any, **options: Any) -> Any:
        if time.monotonic() >= SharedCounters._away_until:
            try:
                return getattr(super(), name)(*arguments, **options)
            except (RedisError, OSError) as error:
                # Not the error's text: it may hold the address with a password.
                logger.warning("Redis does not answer (%s); this process counts by itself", type(error).__name__)
                SharedCounters._away_until = time.monotonic() + _PAUSE_S
        return getattr(caches["ratelimit_alone"], name)(*arguments, **options)

    def add(self, *arguments: Any, **options: Any) -> Any:
        """Set a counter that is not there yet; return whether it was not."""
        return self._either("add", *arguments, **options)

    def get(self, *arguments: Any, **options: Any) -> Any:
        """Return a counter."""
        return self._either("get", *arguments, **options)

    def incr(self, *arguments: Any, **options: Any) -> Any:
        """Count one more. Raises ValueError for a counter that is not there."""
        return self._either("incr", *arguments, **options)
