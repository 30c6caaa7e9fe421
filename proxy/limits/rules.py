"""Which limits apply to whom: rules as the database has them, turned into the limits of one key in one namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from namespaces.rules import NameRule
from proxy.limits.limit import MAX_WINDOW_REQUESTS, SLIDING_WINDOW, Limit

if TYPE_CHECKING:
    from proxy.entries import KeyEntry, NamespaceEntry


class Terms(NamedTuple):
    """How much a limit lets through, whoever it is for."""

    requests: int
    burst: int
    window_s: int
    sliding: bool

    def limit(self, identity: str, kind: str, scope: str) -> Limit:
        """Return the limit that is counted at `identity`."""
        return Limit(identity, kind, scope, self.requests, self.burst, self.window_s, self.sliding)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a limit is that leaves something to the gateway. `enabled` False: no limit holds at all."""

    requests_per_minute: int | None = None
    burst: int = 10
    algorithm: str = ""
    enabled: bool = True

    def terms(self, requests: int | None, burst: int | None, algorithm: str, window_s: int = 60) -> Terms | None:
        """Return the terms of a row. `requests`: None is no limit, -1 the default, 0 lets nothing pass.

        Beyond MAX_WINDOW_REQUESTS a limit that leaves the algorithm to the gateway is a token bucket.
        """
        if requests == -1:
            requests, window_s = self.requests_per_minute, 60
        if requests is None or not self.enabled:
            return None
        sliding = (algorithm or self.algorithm) == SLIDING_WINDOW and requests <= MAX_WINDOW_REQUESTS
        return Terms(requests, burst or self.burst, window_s, sliding)


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A row of the limits: its terms, the calls that it is for, and how they are counted.

    `namespace_id`, `user_id` and `key_id`: None and "" are all of them; `tools`: None is every request, named or not.
    `counted` is together, each_key, each_user or each_namespace.
    """

    id: int
    terms: Terms
    counted: str
    namespace_id: int | None = None
    user_id: str = ""
    tools: NameRule | None = None
    key_id: int | None = None

    def limit(self, key: KeyEntry, namespace: NamespaceEntry) -> Limit | None:
        """Return the limit for the calls of `key` in `namespace`; None when the rule is not for them."""
        if (
            self.namespace_id not in (None, namespace.id)
            or self.user_id not in ("", key.user_id)
            or self.key_id not in (None, key.id)
        ):
            return None
        place = {
            "each_key": f":key:{key.id}",
            "each_user": f":user:{key.user_id}",
            "each_namespace": f":namespace:{namespace.id}",
        }.get(self.counted, "")
        kind, scope = self._named(key, namespace)
        return self.terms.limit(f"rule:{self.id}{place}", kind, scope)

    def _named(self, key: KeyEntry, namespace: NamespaceEntry) -> tuple[str, str]:
        """Return kind and scope, in terms that the caller knows: never a pattern, nor another's name."""
        if self.tools is not None:
            names = self.tools.listed
            alone = self.tools.listed_globs is None and len(names) == 1
            return "tool", f"{namespace.slug}/{next(iter(names))}" if alone else namespace.slug
        if self.counted == "each_key" or self.key_id is not None:
            return ("key", _name(key)) if self.namespace_id is None else ("grant", namespace.slug)
        if self.counted == "each_user" or self.user_id:
            return "user", key.user_id
        if self.counted == "each_namespace" or self.namespace_id is not None:
            return "namespace", namespace.slug
        return "global", "gateway"


def _name(key: KeyEntry) -> str:
    """Return how the admin calls a key."""
    return f"{key.user_id} #{key.id}"


def compile_limits(
    key: KeyEntry, namespace: NamespaceEntry, grant: tuple[int, Terms | None] | None, rules: tuple[LimitRule, ...]
) -> tuple[tuple[Limit, ...], tuple[tuple[NameRule, Limit], ...]]:
    """Return the limits of every request of `key` in `namespace`, and those of some tools with the tools' names.

    Args: grant: the id and the terms of the key's grant, if it has one.
    """
    always: list[Limit] = []
    if key.terms is not None:
        always.append(key.terms.limit(f"key:{key.id}", "key", _name(key)))
    if grant is not None and grant[1] is not None:
        always.append(grant[1].limit(f"grant:{grant[0]}", "grant", namespace.slug))
    named: list[tuple[NameRule, Limit]] = []
    for rule in rules:
        limit = rule.limit(key, namespace)
        if limit is None:
            continue
        if rule.tools is None:
            always.append(limit)
        else:
            named.append((rule.tools, limit))
    return tuple(always), tuple(named)
