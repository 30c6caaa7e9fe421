"""Which quotas apply to whom, and what a caller is told whose budget is used up. Pure values; nothing is spent here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from namespaces.rules import NameRule
from proxy.errors import Limited

if TYPE_CHECKING:
    from proxy.entries import KeyEntry, NamespaceEntry


@dataclass(frozen=True, slots=True)
class Budget:
    """What one spender may have of a quota in a period.

    `counts_bytes`: bytes of answers and not calls. `monthly`: a month and not a day. `hard`: it stops calls.
    `kind` and `scope` name it to a refused caller, who knows both already.
    """

    quota_id: int
    spender: str
    kind: str
    scope: str
    amount: int
    counts_bytes: bool = False
    monthly: bool = False
    hard: bool = True
    warn_percent: int = 80
    name: str = ""
    identity: tuple[int, str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Another measure or period is counted in another place.
        object.__setattr__(self, "identity", (self.quota_id, self.spender, self.unit))

    @property
    def unit(self) -> str:
        """What is counted, and how long, such as calls/day."""
        return f"{'response_bytes' if self.counts_bytes else 'calls'}/{'month' if self.monthly else 'day'}"

    def refusal(self, resets_at: float, now: float) -> Limited:
        """Return the answer for a call that has no budget left. Moments are seconds since 1970."""
        moment = datetime.fromtimestamp(resets_at, UTC)
        wait_s = max(resets_at - now, 0.0)
        measure, period = self.unit.split("/")
        told = {"kind": self.kind, "scope": self.scope, "measure": measure, "period": period, "amount": self.amount}
        text = "bytes of answers" if self.counts_bytes else "calls"
        return Limited(
            f"The quota of {self.amount:,} {text} a {period} for {_OF_WHAT[self.kind]} is used up;"
            f" it begins anew at {moment:%Y-%m-%d %H:%M} UTC.",
            reason="quota_exceeded",
            headers=((b"retry-after", b"%d" % max(1, -int(-wait_s // 1))),),
            data={"retryAfterMs": int(wait_s * 1000) + 1, "resetsAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "quota": told},
        )


_OF_WHAT = {
    "key": "this key",
    "user": "this user",
    "team": "this team",
    "namespace": "this namespace",
    "tool": "this tool",
    "global": "the gateway as a whole",
}


@dataclass(frozen=True, slots=True)
class QuotaRule:
    """A row of the quotas: the calls that it is for, and how they are counted (together, each_key …).

    `namespace_id`, `user_id`, `key_id` and `team_id`: None and "" are all of them; `tools`: None is every request.
    """

    id: int
    name: str
    counted: str
    amount: int
    counts_bytes: bool = False
    monthly: bool = False
    hard: bool = True
    warn_percent: int = 80
    namespace_id: int | None = None
    user_id: str = ""
    team_id: int | None = None
    tools: NameRule | None = None
    key_id: int | None = None

    def budget(self, key: KeyEntry, namespace: NamespaceEntry) -> Budget | None:
        """Return the budget for the calls of `key` in `namespace`; None when the quota is not for them."""
        if (
            self.namespace_id not in (None, namespace.id)
            or self.user_id not in ("", key.user_id)
            or self.key_id not in (None, key.id)
            or self.team_id not in (None, key.team_id)
            or (self.counted == "each_team" and key.team_id is None)
        ):
            return None
        spender = {
            "each_key": f"key:{key.id}",
            "each_user": f"user:{key.user_id}",
            "each_team": f"team:{key.team_id}",
        }.get(self.counted, "")
        return Budget(
            self.id,
            spender,
            *self._named(key, namespace),
            self.amount,
            self.counts_bytes,
            self.monthly,
            self.hard,
            self.warn_percent,
            self.name,
        )

    def _named(self, key: KeyEntry, namespace: NamespaceEntry) -> tuple[str, str]:
        """Return kind and scope, in terms that the caller knows: never a pattern, nor another's name."""
        if self.tools is not None:
            alone = self.tools.listed_globs is None and len(self.tools.listed) == 1
            return "tool", f"{namespace.slug}/{next(iter(self.tools.listed))}" if alone else namespace.slug
        if self.counted == "each_key" or self.key_id is not None:
            return "key", f"{key.user_id} #{key.id}"
        if self.counted == "each_user" or self.user_id:
            return "user", key.user_id
        if self.counted == "each_team" or self.team_id is not None:
            return "team", key.team
        return ("namespace", namespace.slug) if self.namespace_id is not None else ("global", "gateway")


def compile_budgets(
    key: KeyEntry, namespace: NamespaceEntry, rules: tuple[QuotaRule, ...]
) -> tuple[tuple[Budget, ...], tuple[tuple[NameRule, Budget], ...]]:
    """Return the budgets of every request of `key` in `namespace`, and those of some tools with the tools' names."""
    always: list[Budget] = []
    named: list[tuple[NameRule, Budget]] = []
    for rule in rules:
        budget = rule.budget(key, namespace)
        if budget is None:
            continue
        if rule.tools is None:
            always.append(budget)
        else:
            named.append((rule.tools, budget))
    return tuple(always), tuple(named)
