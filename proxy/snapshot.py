"""The configuration as the hot path reads it: one immutable object, compiled from the ORM, swapped whole."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Max

from keys.models import ApiKey, Grant, KeySecret, Measure, Period, Quarantine, Quota, RateLimit, Scope, Sees
from namespaces import egress
from namespaces.address_columns import compiled
from namespaces.fields import Sealed, UndecryptableError
from namespaces.models import CatalogueEntry, ConfigurationChange, Mount, Namespace, Upstream, UpstreamCredential
from namespaces.rules import NameRule, RuleSet
from proxy.brakes import Hold, Holds
from proxy.breaker import Breaking
from proxy.entries import Access, Cap, Deadlines, KeyEntry, NamespaceEntry, UpstreamEntry
from proxy.limits.rules import Defaults, LimitRule, Terms, compile_limits
from proxy.policy import Catalogue, View
from proxy.quotas.budget import QuotaRule, compile_budgets
from proxy.repeats import RepeatLimit

logger = logging.getLogger(__name__)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]+")
_RULE_COLUMNS = tuple(
    f"{kind}_{part}" for kind in ("tools", "prompts", "resources") for part in ("mode", "listed", "denied")
)
_ADDRESSES = ("addresses_mode", "addresses_listed")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request is decided on.

    `secrets` maps a digest to (key, moment at which this secret ends, seconds since 1970, or None).
    `marker` is the newest configuration change that it holds. `anonymous` is who calls without a credential,
    where authentication is switched off (loopback only).
    """

    marker: int
    namespaces: dict[str, NamespaceEntry]
    upstreams: dict[int, UpstreamEntry]
    keys: dict[int, KeyEntry]
    secrets: dict[bytes, tuple[KeyEntry, float | None]] = field(repr=False)
    revoked: dict[bytes, int] = field(repr=False)
    grants: dict[tuple[int, int], tuple[RuleSet, int, Terms | None]] = field(repr=False)
    anonymous: KeyEntry | None = None
    holds: Holds = field(default_factory=Holds)
    built_in_ms: float = 0.0
    limit_rules: tuple[LimitRule, ...] = ()
    quota_rules: tuple[QuotaRule, ...] = ()
    authenticated: dict[bytes, tuple[KeyEntry, float | None]] = field(default_factory=dict, repr=False)
    _access: dict[tuple[int, str], Access | None] = field(default_factory=dict, repr=False)

    def access(self, key: KeyEntry, slug: str) -> Access | None:
        """Return what `key` may do in the namespace `slug`; None when it is unknown or out of bounds (alike)."""
        cached = self._access.get((key.id, slug), False)
        if cached is not False:
            return cached  # type: ignore[return-value]
        namespace = self.namespaces.get(slug)
        if namespace is None:
            # Not remembered: made-up names must not fill the table.
            return None
        result = self._compile_access(key, namespace)
        self._access[key.id, slug] = result
        return result

    def _compile_access(self, key: KeyEntry, namespace: NamespaceEntry) -> Access | None:
        grant = self.grants.get((key.id, namespace.id))
        if grant is None and not key.all_namespaces:
            return None
        catalogue = namespace.upstream.catalogue if namespace.upstream else Catalogue()
        view = View(namespace.rules, grant[0] if grant else None, catalogue)
        limits = compile_limits(key, namespace, grant[1:] if grant else None, self.limit_rules)
        upstream_id = namespace.upstream.id if namespace.upstream else 0
        caps = (key.cap, namespace.upstream.cap if namespace.upstream else None)
        return Access(
            namespace,
            view,
            *limits,
            *compile_budgets(key, namespace, self.quota_rules),
            tuple(cap for cap in caps if cap is not None),
            self.holds.of(key.id, key.user_id, namespace.id, upstream_id),
            self.holds.of_tools(namespace.id, upstream_id),
        )


def newest_marker() -> int:
    """Return the id of the newest configuration change; 0 before the first."""
    return ConfigurationChange.objects.aggregate(newest=Max("id"))["newest"] or 0


def load() -> Snapshot:
    """Read the whole configuration and compile it. Blocking; call it in a thread.

    The marker is read first, so a change that commits meanwhile is seen as newer. A row that cannot be used
    (undecryptable credential, forbidden URL) marks its upstream and never spoils the rest.
    """
    begun = time.perf_counter()
    marker = newest_marker()
    upstreams = _load_upstreams()
    namespaces = _load_namespaces(upstreams)
    defaults = _limit_defaults()
    keys, secrets, revoked = _load_keys(defaults)
    grants = {
        (row[0], row[1]): (_rule_set(row[6:]), row[2], defaults.terms(*row[3:6]))
        for row in Grant.objects.order_by().values_list(
            "key_id", "namespace_id", "id", "requests_per_minute", "burst", "algorithm", *_RULE_COLUMNS
        )
    }
    rules, quota_rules = _load_limit_rules(defaults), _load_quota_rules()
    elapsed = (time.perf_counter() - begun) * 1000
    anonymous = None if settings.AUTH_ENABLED else _ANONYMOUS
    if anonymous is not None:
        keys[anonymous.id] = anonymous
    found = namespaces, upstreams, keys, secrets, revoked, grants, anonymous
    return Snapshot(marker, *found, _load_holds(), elapsed, rules, quota_rules)


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _load_upstreams() -> dict[int, UpstreamEntry]:
    credentials: dict[int, list[tuple[str, Any]]] = {}
    for upstream_id, header, value in UpstreamCredential.objects.order_by("id").values_list(
        "upstream_id", "header", "value"
    ):
        credentials.setdefault(upstream_id, []).append((header, value))
    names: dict[int, dict[str, dict[str, Any]]] = {}
    for upstream_id, kind, name, definition in CatalogueEntry.objects.filter(gone_at=None).values_list(
        "upstream_id", "kind", "name", "definition"
    ):
        names.setdefault(upstream_id, {}).setdefault(kind, {})[name] = definition
    return {
        upstream.pk: _upstream_entry(upstream, credentials.get(upstream.pk, []), names.get(upstream.pk, {}))
        for upstream in Upstream.objects.filter(enabled=True)
    }


def _upstream_entry(
    upstream: Upstream, sealed: list[tuple[str, Sealed]], names: dict[str, dict[str, Any]]
) -> UpstreamEntry:
    problem = None
    credentials: list[tuple[str, str]] = []
    try:
        credentials = [(header, value.reveal()) for header, value in sealed]
        egress.check_url(upstream.url)
        if not all(_HEADER_VALUE.fullmatch(value) for _, value in credentials):
            credentials, problem = [], ("credential_invalid", "this upstream's credential is no header value")
    except UndecryptableError:
        problem = ("credential_unreadable", "the gateway cannot decrypt this upstream's credential")
        logger.error("the credential of an upstream cannot be decrypted", extra={"upstream": upstream.slug})
    except egress.EgressError as error:
        problem = (error.reason, "the gateway may not connect to this upstream's address")
        logger.error("an upstream's URL is refused: %s", error, extra={"upstream": upstream.slug})
    era = upstream.era if upstream.era != "auto" else upstream.detected_era
    connect_s = _or_default(upstream.connect_timeout_s, settings.CONNECT_TIMEOUT_S)
    threshold = _or_default(upstream.circuit_breaker_threshold, settings.BREAKER_THRESHOLD)
    recovery_s = _or_default(upstream.circuit_breaker_timeout, settings.BREAKER_RECOVERY_S)
    return UpstreamEntry(
        id=upstream.pk,
        slug=upstream.slug,
        url=upstream.url,
        era=era,
        deadlines=Deadlines(
            connect_s,
            _or_default(upstream.first_byte_timeout_s, settings.FIRST_BYTE_TIMEOUT_S),
            _or_default(upstream.idle_timeout_s, settings.IDLE_TIMEOUT_S),
            _or_default(upstream.total_timeout_s, settings.TOTAL_TIMEOUT_S),
        ),
        max_response_bytes=_or_default(upstream.max_response_bytes, settings.MAX_RESPONSE_BYTES),
        credentials=tuple(credentials),
        catalogue=Catalogue.build(names),
        identity=(upstream.pk, upstream.url, era, tuple(credentials), connect_s),
        problem=problem,
        cap=Cap(
            upstream.pk * 2,
            _or_default(upstream.max_concurrency, settings.UPSTREAM_CONCURRENCY),
            _or_default(upstream.queue_length, settings.QUEUE_LENGTH),
            _or_default(upstream.queue_wait_s, settings.QUEUE_WAIT_S),
            "upstream",
        ),
        breaking=Breaking(threshold, recovery_s, settings.BREAKER_PROBES) if threshold else None,
        max_retries=_or_default(upstream.max_retries, settings.MAX_RETRIES),
        trust_annotations=upstream.trust_annotations,
    )


def _load_namespaces(upstreams: dict[int, UpstreamEntry]) -> dict[str, NamespaceEntry]:
    mounts = dict(Mount.objects.order_by().values_list("namespace_id", "upstream_id"))
    return {
        row[1]: NamespaceEntry(
            row[0],
            row[1],
            _rule_set(row[7:]),
            upstreams.get(mounts.get(row[0], 0)),
            compiled(*row[5:7]),
            _repeats(row[2], row[3]),
            row[4],
        )
        for row in Namespace.objects.filter(enabled=True).values_list(
            *("id", "slug", "identical_calls", "identical_window_s", "progress_extends_total"),
            *_ADDRESSES,
            *_RULE_COLUMNS,
        )
    }


def _repeats(most: int | None, window_s: float | None) -> RepeatLimit | None:
    most = _or_default(most, settings.IDENTICAL_CALLS)
    return RepeatLimit(most, _or_default(window_s, settings.IDENTICAL_WINDOW_S)) if most else None


def _load_holds() -> Holds:
    """Read the quarantines; those that are over are left out, and each call looks at the clock for the others."""
    holds = Holds()
    rows = Quarantine.objects.in_force().order_by("id")
    for scope, key_id, user_id, tool, namespace_id, upstream_id, reason, ends_at in rows.values_list(
        "scope", "key_id", "user_id", "tool", "namespace_id", "upstream_id", "reason", "ends_at"
    ):
        hold = Hold(scope, reason, ends_at.timestamp() if ends_at else None)
        if scope == Scope.TOOL:
            holds.tools.append((tool, namespace_id, upstream_id, hold))
        elif scope == Scope.USER:
            holds.users.setdefault(user_id, []).append(hold)
        elif scope == Scope.KEY:
            holds.keys.setdefault(key_id, []).append(hold)
        elif scope == Scope.NAMESPACE:
            holds.namespaces.setdefault(namespace_id, []).append(hold)
        else:
            holds.upstreams.setdefault(upstream_id, []).append(hold)
    return holds


def _rule_set(columns: tuple[Any, ...]) -> RuleSet:
    if columns[0::3] == ("all", "all", "all") and not any(columns[2::3]):
        return _OPEN
    return RuleSet(NameRule.build(*columns[0:3]), NameRule.build(*columns[3:6]), NameRule.build(*columns[6:9]))


_OPEN = RuleSet()
_ANONYMOUS = KeyEntry(0, "anonymous", all_namespaces=True, expires_at=None, terms=None, sees_all=True)


def _limit_defaults() -> Defaults:
    return Defaults(
        settings.DEFAULT_RPM, settings.DEFAULT_BURST, settings.RATE_LIMIT_STRATEGY, settings.RATE_LIMITS_ENABLED
    )


def _load_limit_rules(defaults: Defaults) -> tuple[LimitRule, ...]:
    found = []
    for pk, requests, burst, algorithm, window_s, counted, namespace_id, user_id, key_id, tools in (
        RateLimit.objects.filter(enabled=True)
        .order_by("id")
        .values_list(
            *("id", "requests", "burst", "algorithm", "window_s"),
            *("counted", "namespace_id", "user_id", "key_id", "tools"),
        )
    ):
        terms = defaults.terms(requests, burst, algorithm, window_s)
        if terms is not None:
            names = NameRule.build("listed", tools, ()) if tools else None
            found.append(LimitRule(pk, terms, counted, namespace_id, user_id, names, key_id))
    return tuple(found)


def _load_quota_rules() -> tuple[QuotaRule, ...]:
    return tuple(
        QuotaRule(
            pk,
            slug,
            counted,
            amount,
            counts_bytes=measure == Measure.RESPONSE_BYTES,
            monthly=period == Period.MONTH,
            hard=hard,
            warn_percent=warn_percent,
            namespace_id=namespace_id,
            user_id=user_id,
            team_id=team_id,
            tools=NameRule.build("listed", tools, ()) if tools else None,
            key_id=key_id,
        )
        for (
            pk,
            slug,
            counted,
            amount,
            measure,
            period,
            hard,
            warn_percent,
            namespace_id,
            user_id,
            key_id,
            team_id,
            tools,
        ) in (
            Quota.objects.filter(enabled=True)
            .order_by("id")
            .values_list(
                *("id", "slug", "counted", "amount", "measure", "period", "hard", "warn_percent"),
                *("namespace_id", "user_id", "key_id", "team_id", "tools"),
            )
        )
    )


def _key_cap(key_id: int, most: int | None) -> Cap | None:
    most = _or_default(most, settings.KEY_CONCURRENCY)
    return Cap(key_id * 2 + 1, most, settings.QUEUE_LENGTH, settings.QUEUE_WAIT_S, "key") if most else None


def _load_keys(
    defaults: Defaults,
) -> tuple[dict[int, KeyEntry], dict[bytes, tuple[KeyEntry, float | None]], dict[bytes, int]]:
    keys: dict[int, KeyEntry] = {}
    ended: set[int] = set()
    rows = ApiKey.objects.order_by().values_list(
        *("id", "user_id", "all_namespaces", "expires_at", "revoked_at", "sees"),
        *_ADDRESSES,
        *("team_id", "team__slug", "max_concurrency", "requests_per_minute", "burst", "algorithm"),
    )
    for pk, user_id, everywhere, expires_at, revoked_at, sees, mode, listed, team_id, team, most, *limit in rows:
        if revoked_at is not None:
            ended.add(pk)
            continue
        expiry = expires_at.timestamp() if expires_at else None
        keys[pk] = KeyEntry(
            pk,
            user_id,
            everywhere,
            expiry,
            defaults.terms(*limit),
            sees == Sees.ALL,
            compiled(mode, listed),
            team_id,
            team or "",
            _key_cap(pk, most),
        )
    secrets: dict[bytes, tuple[KeyEntry, float | None]] = {}
    revoked: dict[bytes, int] = {}
    for key_id, digest, expires_at in KeySecret.objects.order_by().values_list("key_id", "digest", "expires_at"):
        if key_id in ended:
            revoked[bytes(digest)] = key_id
        elif key_id in keys:
            secrets[bytes(digest)] = (keys[key_id], expires_at.timestamp() if expires_at else None)
    return keys, secrets, revoked
