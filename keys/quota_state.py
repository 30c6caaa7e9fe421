"""How far quotas are used up now, and which of them a signed-in person may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from keys.authentication import sees_everything
from keys.models import OVERSEERS, ApiKey, Membership, Quota, QuotaUse, Team
from keys.quota_models import Measure, Period, Spender, period_of
from keys.visibility import scope_of

MAX_ROWS = 500
TONES = {"fine": "ok", "nearly used up": "warn", "used up": "error", "off": "muted"}


@dataclass(frozen=True, slots=True)
class State:
    """One spender's quota in the period that is running. `used` holds what is leased ahead too."""

    quota: Quota
    spender: str  # as people call it
    used: int
    resets_at: datetime

    @property
    def percent(self) -> int:
        """How much of the amount is used, in whole percent, rounded down."""
        return self.used * 100 // self.quota.amount if self.quota.amount else 100

    @property
    def what(self) -> str:
        """What is counted, in words, without the tools' names: who may not see them may see this."""
        parts = ["bytes of answers" if self.quota.measure == Measure.RESPONSE_BYTES else "calls"]
        parts.append("a month" if self.quota.period == Period.MONTH else "a day")
        if self.quota.tools:
            parts.append("of some tools")
        if self.quota.namespace is not None:
            parts.append(f"in {self.quota.namespace.slug}")
        return " ".join(parts)

    @property
    def word(self) -> str:
        """The state in a word or three."""
        if not self.quota.enabled:
            return "off"
        if self.used >= self.quota.amount:
            return "used up"
        return "nearly used up" if self.percent >= self.quota.warn_percent else "fine"

    @property
    def tone(self) -> str:
        """The colour of the state."""
        return TONES[self.word]


def states(account: User) -> list[State]:
    """Return the quotas that an account may see, those nearest to their end first, at most MAX_ROWS.

    Whoever sees all calls sees all quotas. Others see what is counted for their own keys, users and teams, and what
    everybody shares of a namespace that they may use.
    """
    now = timezone.now()
    quotas = list(Quota.objects.select_related("namespace", "team", "key"))
    uses = list(QuotaUse.objects.filter(begins__in={period_of(quota.period, now)[0] for quota in quotas}))
    used: dict[tuple[int, str, date], dict[str, int]] = {}
    for use in uses:
        used.setdefault((use.quota_id, use.unit, use.begins), {})[use.spender] = use.used
    sight = _Sight(account, {use.spender for use in uses})
    found = []
    for quota in quotas:
        begins, resets_at = period_of(quota.period, now)
        spent = used.get((quota.pk, quota.unit, begins), {})
        if quota.counted == Spender.TOGETHER:
            spent = {"": spent.get("", 0)}
        for spender, amount in spent.items():
            if sight.shows(quota, spender):
                found.append(State(quota, sight.name(quota, spender), amount, resets_at))
    found.sort(key=lambda state: (-state.percent, state.quota.slug, state.spender))
    return found[:MAX_ROWS]


def _numbers(prefix: str, spenders: set[str]) -> list[int]:
    return [int(spender.removeprefix(prefix)) for spender in spenders if spender.startswith(prefix)]


class _Sight:
    """What an account may see, and how these spenders are called, read once."""

    def __init__(self, account: User, spenders: set[str]) -> None:
        self.scope = scope_of(account)
        self.everything = sees_everything(account)
        own = scope_of(account, mine=True)
        self._users = set(own.user_ids or ())
        self._namespaces = None if own.namespaces is None else {*own.namespaces, *(self.scope.namespaces or ())}
        memberships = Membership.objects.filter(account=account)
        self._teams = {str(pk) for pk in memberships.values_list("team_id", flat=True)}
        overseen = memberships.filter(role__in=OVERSEERS).values("team_id")
        self._keys = {
            str(pk)
            for pk in ApiKey.objects.filter(Q(owner=account) | Q(team__in=overseen)).values_list("pk", flat=True)
        }
        self._team_users = set(ApiKey.objects.filter(team__in=overseen).values_list("user_id", flat=True))
        keys = ApiKey.objects.filter(pk__in=_numbers("key:", spenders))
        self._names = {str(key.pk): str(key) for key in keys}
        self._titles = {str(team.pk): team.title for team in Team.objects.filter(pk__in=_numbers("team:", spenders))}

    def shows(self, quota: Quota, spender: str) -> bool:
        """Return whether the account may see what a spender has had of a quota."""
        if self.everything:
            return True
        kind, _, name = spender.partition(":")
        if kind == "key":
            return name in self._keys
        if kind == "user":
            return name in self._users or name in self._team_users
        if kind == "team":
            return name in self._teams
        if quota.key_id is not None:
            return str(quota.key_id) in self._keys
        if quota.user_id:
            return quota.user_id in self._users
        if quota.team_id is not None:
            return str(quota.team_id) in self._teams
        if quota.namespace is None:
            return True
        return self._namespaces is None or quota.namespace.slug in self._namespaces

    def name(self, quota: Quota, spender: str) -> str:
        """Return how people call a spender."""
        kind, _, name = spender.partition(":")
        if kind == "key":
            return self._names.get(name, f"key #{name}")
        if kind == "team":
            return self._titles.get(name, f"team #{name}")
        if kind == "user":
            return name
        if quota.key is not None:
            return str(quota.key)
        return quota.user_id or (quota.team.title if quota.team else "everybody together")
