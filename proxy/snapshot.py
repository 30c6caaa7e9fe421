"""The configuration as the hot path reads it: one immutable object, compiled from the ORM, swapped whole."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Max

from keys.models import ApiKey, Grant, KeySecret, Measure, Period, Quota, RateLimit, Sees
from namespaces import egress
from namespaces.address_columns import compiled
from namespaces.fields import Sealed, UndecryptableError
from namespaces.models import CatalogueEntry, ConfigurationChange, Mount, Namespace, Upstream, UpstreamCredential
from namespaces.networks import Network
from namespaces.rules import NameRule, RuleSet
from proxy.limits.limit import Limit
from proxy.limits.rules import Defaults, LimitRule, Terms, compile_limits
from proxy.policy import Catalogue, View
from proxy.quotas.budget import Budget, QuotaRule, compile_budgets

logger = logging.getLogger(__name__)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]+")
_RULE_COLUMNS = tuple(
    f"{kind}_{part}" for kind in ("tools", "prompts", "resources") for part in ("mode", "listed", "denied")
)
_ADDRESSES = ("addresses_mode", "addresses_listed")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an upstream may take, in seconds."""

    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class UpstreamEntry:
    """An upstream as the data plane uses it.

    `identity` must stay the same for open connections and held sessions to be used on. `problem` says why the
    upstream cannot be called (code, message), if so.
    """

    id: int
    slug: str
    url: str
    era: str
    deadlines: Deadlines
    max_response_bytes: int
    credentials: tuple[tuple[str, str], ...] = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    identity: tuple[object, ...] = field(repr=False)
    problem: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NamespaceEntry:
    """A namespace and the upstream that it mounts (None when nothing usable is), and from where it may be called."""

    id: int
    slug: str
    rules: RuleSet
    upstream: UpstreamEntry | None
    networks: tuple[Network, ...] | None = None


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key that is not revoked.

    `sees_all`: it may read everybody's figures; `networks`: from where it works, None for anywhere.
    """

    id: int
    user_id: str
    all_namespaces: bool
    expires_at: float | None
    terms: Terms | None
    sees_all: bool = False
    networks: tuple[Network, ...] | None = None
    team_id: int | None = None
    team: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """What one key may do in one namespace, ready to be decided on.

    `limits` and `quotas` hold for every request, `tool_limits` and `tool_quotas` for calls of the tools that their
    rules name.
    """

    namespace: NamespaceEntry
    view: View
    limits: tuple[Limit, ...]
    tool_limits: tuple[tuple[NameRule, Limit], ...] = ()
    quotas: tuple[Budget, ...] = ()
    tool_quotas: tuple[tuple[NameRule, Budget], ...] = ()

    def limits_of(self, tool: str) -> tuple[Limit, ...]:
        """Return the limits of a call of `tool`."""
        return (*self.limits, *(limit for rule, limit in self.tool_limits if rule.allows(tool)))

    def quotas_of(self, tool: str) -> tuple[Budget, ...]:
        """Return the quotas of a call of `tool`."""
        return (*self.quotas, *(budget for rule, budget in self.tool_quotas if rule.allows(tool)))


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
        return Access(namespace, view, *limits, *compile_budgets(key, namespace, self.quota_rules))


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
    return Snapshot(marker, *found, elapsed, rules, quota_rules)


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
    )


def _load_namespaces(upstreams: dict[int, UpstreamEntry]) -> dict[str, NamespaceEntry]:
    mounts = dict(Mount.objects.order_by().values_list("namespace_id", "upstream_id"))
    return {
        row[1]: NamespaceEntry(
            row[0], row[1], _rule_set(row[4:]), upstreams.get(mounts.get(row[0], 0)), compiled(*row[2:4])
        )
        for row in Namespace.objects.filter(enabled=True).values_list("id", "slug", *_ADDRESSES, *_RULE_COLUMNS)
    }


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
    for pk, requests, burst, algorithm, window_s, counted, namespace_id, user_id, tools in (
        RateLimit.objects.filter(enabled=True)
        .order_by("id")
        .values_list("id", "requests", "burst", "algorithm", "window_s", "counted", "namespace_id", "user_id", "tools")
    ):
        terms = defaults.terms(requests, burst, algorithm, window_s)
        if terms is not None:
            names = NameRule.build("listed", tools, ()) if tools else None
            found.append(LimitRule(pk, terms, counted, namespace_id, user_id, names))
    return tuple(found)


def _load_quota_rules() -> tuple[QuotaRule, ...]:
    return tuple(
        QuotaRule(
            *row[:4],
            counts_bytes=row[4] == Measure.RESPONSE_BYTES,
            monthly=row[5] == Period.MONTH,
            hard=row[6],
            warn_percent=row[7],
            namespace_id=row[8],
            user_id=row[9],
            team_id=row[10],
            tools=NameRule.build("listed", row[11], ()) if row[11] else None,
        )
        for row in Quota.objects.filter(enabled=True)
        .order_by("id")
        .values_list(
            "id",
            "slug",
            "counted",
            "amount",
            "measure",
            "period",
            "hard",
            "warn_percent",
            "namespace_id",
            "user_id",
            "team_id",
            "tools",
        )
    )


def _load_keys(
    defaults: Defaults,
) -> tuple[dict[int, KeyEntry], dict[bytes, tuple[KeyEntry, float | None]], dict[bytes, int]]:
    keys: dict[int, KeyEntry] = {}
    ended: set[int] = set()
    rows = ApiKey.objects.order_by().values_list(
        "id",
        "user_id",
        "all_namespaces",
        "expires_at",
        "revoked_at",
        "sees",
        *_ADDRESSES,
        "team_id",
        "team__slug",
        "requests_per_minute",
        "burst",
        "algorithm",
    )
    for pk, user_id, everywhere, expires_at, revoked_at, sees, mode, listed, team_id, team, *limit in rows:
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
        )
    secrets: dict[bytes, tuple[KeyEntry, float | None]] = {}
    revoked: dict[bytes, int] = {}
    for key_id, digest, expires_at in KeySecret.objects.order_by().values_list("key_id", "digest", "expires_at"):
        if key_id in ended:
            revoked[bytes(digest)] = key_id
        elif key_id in keys:
            secrets[bytes(digest)] = (keys[key_id], expires_at.timestamp() if expires_at else None)
    return keys, secrets, revoked
