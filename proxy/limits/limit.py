"""One rate limit as the hot path reads it, and what it says about a call. Pure values; nothing is counted here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from proxy.errors import Limited

TOKEN_BUCKET, SLIDING_WINDOW = "token_bucket", "sliding_window"
# What a sliding window remembers: one number a call. Above this, a limit is a token bucket.
MAX_WINDOW_REQUESTS = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """How many calls may pass: `requests` in `window_s` seconds, by one of two algorithms.

    Token bucket (GCRA): `burst` at once, then evenly. Sliding window: `requests` within any `window_s`, whenever
    they come. `identity` names the place where calls are counted, the same in every process and on every host;
    `kind` and `scope` name the limit to a refused caller, who knows both already. A limit of 0 lets nothing pass.
    """

    identity: str
    kind: str
    scope: str
    requests: int
    burst: int = 1
    window_s: int = 60
    sliding: bool = False
    digest: int = field(init=False, repr=False)
    interval_s: float = field(init=False, repr=False)
    tolerance_s: float = field(init=False, repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Made here, once a snapshot, so that a call need not.
        name = f"{f'window of {self.window_s}' if self.sliding else 'bucket'}:{self.identity}".encode()
        digest = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") or 1
        interval_s = self.window_s / self.requests if self.requests > 0 else 0.0
        headers = (
            (b"x-ratelimit-limit", b"%d" % self.requests),
            (b"x-ratelimit-policy", b"%d;w=%d" % (self.requests, self.window_s)),
        )
        for name_, value in (
            ("digest", digest),
            ("interval_s", interval_s),
            ("tolerance_s", interval_s * self.burst),
            ("headers", headers),
        ):
            object.__setattr__(self, name_, value)

    @property
    def algorithm(self) -> str:
        """The name of the algorithm, as settings and configuration files have it."""
        return SLIDING_WINDOW if self.sliding else TOKEN_BUCKET

    @property
    def rate(self) -> str:
        """The rate in words, such as “100 requests a minute”."""
        unit = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}.get(self.window_s)
        return f"{self.requests} requests {unit or f'in {self.window_s} seconds'}"


REASONS = {
    "key": "rate_limited_key",
    "grant": "rate_limited_grant",
    "user": "rate_limited_user",
    "namespace": "rate_limited_namespace",
    "tool": "rate_limited_tool",
    "global": "rate_limited_global",
}
# How a message speaks of a limit. None names anything that the caller has not named itself.
_OF_WHAT = {
    "key": "this key",
    "grant": "this key in this namespace",
    "user": "this user",
    "namespace": "this namespace",
    "tool": "this tool",
    "global": "the gateway as a whole",
}


@dataclass(slots=True)
class Verdict:
    """What the deciding limit said: the first to be full again of those that refuse, else the one with least left.

    `remaining` calls may come at once, in `reset_s` seconds it is full again, and a refused call may be repeated
    after `retry_s`.
    """

    limit: Limit
    admitted: bool
    remaining: int
    reset_s: float
    retry_s: float = 0.0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the X-RateLimit headers of an answer (B.10, C.20); Retry-After too when refused."""
        headers = [
            *self.limit.headers,
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % -int(-self.reset_s // 1)),
        ]
        if not self.admitted:
            headers.append((b"retry-after", b"%d" % max(1, -int(-self.retry_s // 1))))
        return headers

    def refusal(self) -> Limited:
        """Return the answer for a call that did not fit."""
        limit, of_what = self.limit, _OF_WHAT[self.limit.kind]
        wait_ms = int(self.retry_s * 1000) + 1
        message = (
            f"The rate limit of {limit.rate} for {of_what} is used up; try again in {wait_ms / 1000:.3g} s."
            if limit.requests > 0
            else f"The rate limit for {of_what} is 0: an admin has stopped these calls."
        )
        told = {
            "kind": limit.kind,
            "scope": limit.scope,
            "requests": limit.requests,
            "windowSeconds": limit.window_s,
            "algorithm": limit.algorithm,
        }
        return Limited(message, reason=REASONS[limit.kind], data={"retryAfterMs": wait_ms, "limit": told})
