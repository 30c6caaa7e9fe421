"""The configuration as the hot path reads it: one immutable object, compiled from the ORM, swapped whole."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Max

from keys.models import ApiKey, Grant, KeySecret, Quarantine, Scope
from namespaces import egress
from namespaces.fields import Sealed, UndecryptableError
from namespaces.models import CatalogueEntry, ConfigurationChange, Mount, Namespace, Upstream, UpstreamCredential
from namespaces.rules import NameRule, RuleSet
from proxy.brakes import Hold, Holds
from proxy.breaker import Breaking
from proxy.policy import Catalogue, View
from proxy.repeats import RepeatLimit

logger = logging.getLogger(__name__)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]+")
_RULE_COLUMNS = tuple(
    f"{kind}_{part}" for kind in ("tools", "prompts", "resources") for part in ("mode", "listed", "denied")
)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an upstream may take, in seconds."""

    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Cap:
    """Most calls in flight at once: of a `key` or to an `upstream`; `slot` is its place in the shared table.

    Up to `queue_length` more wait for `queue_wait_s` seconds.
    """

    slot: int
    most: int
    queue_length: int
    queue_wait_s: float
    whose: str


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
    cap: Cap | None = None
    breaking: Breaking | None = None
    max_retries: int = 0
    trust_annotations: bool = False


@dataclass(frozen=True, slots=True)
class NamespaceEntry:
    """A namespace and the upstream that it mounts; None when nothing usable is mounted."""

    id: int
    slug: str
    rules: RuleSet
    upstream: UpstreamEntry | None
    repeats: RepeatLimit | None = None
    progress_extends_total: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate: `rpm` requests a minute, `burst` at once; `slot` is its place in the shared table."""

    slot: int
    rpm: int
    burst: int


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key that is not revoked."""

    id: int
    user_id: str
    all_namespaces: bool
    expires_at: float | None
    limit: Limit | None
    cap: Cap | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What one key may do in one namespace, ready to be decided on."""

    namespace: NamespaceEntry
    view: View
    limits: tuple[Limit, ...]
    caps: tuple[Cap, ...] = ()
    holds: tuple[Hold, ...] = ()
    held_tools: dict[str, tuple[Hold, ...]] = field(default_factory=dict)


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
    grants: dict[tuple[int, int], tuple[RuleSet, Limit | None]] = field(repr=False)
    anonymous: KeyEntry | None = None
    holds: Holds = field(default_factory=Holds)
    built_in_ms: float = 0.0
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
        rules, limit = grant or (None, None)
        catalogue = namespace.upstream.catalogue if namespace.upstream else Catalogue()
        limits = tuple(entry for entry in (key.limit, limit) if entry is not None)
        upstream_id = namespace.upstream.id if namespace.upstream else 0
        caps = (key.cap, namespace.upstream.cap if namespace.upstream else None)
        return Access(
            namespace,
            View(namespace.rules, rules, catalogue),
            limits,
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
    keys, secrets, revoked = _load_keys()
    grants = {
        (row[0], row[1]): (_rule_set(row[5:]), _limit(row[2] * 2 + 1, row[3], row[4]))
        for row in Grant.objects.order_by().values_list(
            "key_id", "namespace_id", "id", "requests_per_minute", "burst", *_RULE_COLUMNS
        )
    }
    elapsed = (time.perf_counter() - begun) * 1000
    anonymous = None if settings.AUTH_ENABLED else _ANONYMOUS
    if anonymous is not None:
        keys[anonymous.id] = anonymous
    return Snapshot(marker, namespaces, upstreams, keys, secrets, revoked, grants, anonymous, _load_holds(), elapsed)


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
            row[0], row[1], _rule_set(row[5:]), upstreams.get(mounts.get(row[0], 0)), _repeats(row[2], row[3]), row[4]
        )
        for row in Namespace.objects.filter(enabled=True).values_list(
            "id", "slug", "identical_calls", "identical_window_s", "progress_extends_total", *_RULE_COLUMNS
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
_ANONYMOUS = KeyEntry(0, "anonymous", all_namespaces=True, expires_at=None, limit=None)


def _limit(slot: int, rpm: int | None, burst: int | None) -> Limit | None:
    if rpm == -1:
        rpm = settings.DEFAULT_RPM
    if rpm is None:
        return None
    return Limit(slot, rpm, burst or settings.DEFAULT_BURST)


def _key_cap(key_id: int, most: int | None) -> Cap | None:
    most = _or_default(most, settings.KEY_CONCURRENCY)
    return Cap(key_id * 2 + 1, most, settings.QUEUE_LENGTH, settings.QUEUE_WAIT_S, "key") if most else None


def _load_keys() -> tuple[dict[int, KeyEntry], dict[bytes, tuple[KeyEntry, float | None]], dict[bytes, int]]:
    keys: dict[int, KeyEntry] = {}
    ended: set[int] = set()
    rows = ApiKey.objects.order_by().values_list(
        *("id", "user_id", "all_namespaces", "expires_at", "revoked_at", "requests_per_minute", "burst"),
        "max_concurrency",
    )
    for pk, user_id, everywhere, expires_at, revoked_at, rpm, burst, most in rows:
        if revoked_at is not None:
            ended.add(pk)
            continue
        expiry = expires_at.timestamp() if expires_at else None
        keys[pk] = KeyEntry(pk, user_id, everywhere, expiry, _limit(pk * 2, rpm, burst), _key_cap(pk, most))
    secrets: dict[bytes, tuple[KeyEntry, float | None]] = {}
    revoked: dict[bytes, int] = {}
    for key_id, digest, expires_at in KeySecret.objects.order_by().values_list("key_id", "digest", "expires_at"):
        if key_id in ended:
            revoked[bytes(digest)] = key_id
        elif key_id in keys:
            secrets[bytes(digest)] = (keys[key_id], expires_at.timestamp() if expires_at else None)
    return keys, secrets, revoked
