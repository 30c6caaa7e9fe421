"""What the snapshot is made of: keys, namespaces and upstreams as the hot path reads them. Immutable values."""

from __future__ import annotations

from dataclasses import dataclass, field

from namespaces.networks import Network
from namespaces.rules import NameRule, RuleSet
from proxy.brakes import Hold
from proxy.breaker import Breaking
from proxy.limits.limit import Limit
from proxy.limits.rules import Terms
from proxy.policy import Catalogue, View
from proxy.quotas.budget import Budget
from proxy.repeats import RepeatLimit


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
    """A namespace and the upstream that it mounts (None when nothing usable is), and from where it may be called."""

    id: int
    slug: str
    rules: RuleSet
    upstream: UpstreamEntry | None
    networks: tuple[Network, ...] | None = None
    repeats: RepeatLimit | None = None
    progress_extends_total: bool = False


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
    cap: Cap | None = None


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

    caps: tuple[Cap, ...] = ()
    holds: tuple[Hold, ...] = ()
    held_tools: dict[str, tuple[Hold, ...]] = field(default_factory=dict)
