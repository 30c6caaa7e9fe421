"""The part of a plan that concerns teams: what changes in them, and what that takes from keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.models import User

from gateway_project.configuration.changes import Change
from gateway_project.configuration.document import Document, KeyEntry, TeamEntry
from gateway_project.configuration.errors import Problem
from keys.models import ApiKey, Grant, Membership, Sees, Team, TeamNamespace

Compare = Callable[..., Any]


class TeamPlan:
    """Compares the teams of a document with the database, and appends to a plan's `changes`.

    `departures` are to be made after the keys have got their teams: who leaves a team loses the keys held for it.
    Namespaces go before, so that the grants that a key gets in the same file stay.
    """

    def __init__(self, document: Document, changes: list[Change]) -> None:
        self._changes = changes
        self.departures: list[Change] = []
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._document = document
        self._made: dict[str, Any] = {}
        self._moved: dict[int, str | None] = {}  # the team that a file gives to a key of the database
        self._teams = {row.slug: row for row in Team.objects.prefetch_related("memberships__account")}
        self._owned = {row.namespace.slug: row for row in TeamNamespace.objects.select_related("namespace", "team")}
        names = {one.slug for one in document.references if one.kind == "account"}
        self._accounts = {row.username: row for row in User.objects.filter(username__in=names)}

    def compare(self, compare: Compare, namespace_of: Callable[[str], Any]) -> Iterable[TeamNamespace]:
        """Note what must be written, by `compare`; return the rows of namespaces that leave a team.

        Args: compare: `Plan.compare`; namespace_of: returns the row of a slug, or the change that makes it.
        """
        leaving: list[TeamNamespace] = []
        for entry in self._document.teams.values():
            row = self._teams.get(entry.slug)
            made = compare(f"teams.{entry.slug}", Team, row, entry.columns, {"slug": entry.slug})
            self._made[entry.slug] = made
            self._members(compare, entry, made, row)
        listed = {slug: entry.slug for entry in self._document.teams.values() for slug in entry.namespaces or ()}
        for slug, team in listed.items():
            old = self._owned.get(slug)
            if old is not None and old.team.slug != team:
                leaving.append(old)
            path, fixed = f"teams.{team}.namespaces.{slug}", {"namespace": namespace_of(slug)}
            compare(path, TeamNamespace, old, {"team": self._made[team]}, fixed)
        for slug, old in self._owned.items():
            told = self._document.teams.get(old.team.slug)
            if slug not in listed and told is not None and told.namespaces is not None:
                leaving.append(old)
                self._changes.append(Change("-", f"teams.{old.team.slug}.namespaces.{slug}", TeamNamespace, row=old))
        return leaving

    def _members(self, compare: Compare, entry: TeamEntry, made: Any, row: Team | None) -> None:
        if entry.members is None:
            return
        present = {one.account.username: one for one in row.memberships.all()} if row else {}
        for name, role in entry.members.items():
            fixed = {"team": made, "account": self._accounts[name]}
            compare(f"teams.{entry.slug}.members.{name}", Membership, present.pop(name, None), {"role": role}, fixed)
        for name, membership in present.items():
            path = f"teams.{entry.slug}.members.{name}"
            self.departures.append(Change("-", path, Membership, row=membership))
            count = ApiKey.objects.filter(team=row, owner=membership.account, revoked_at=None).count()
            if count:
                text = f"who leaves a team loses the keys held for it: {count} of {name} will be revoked"
                self.warnings.append(Problem(entry.line, path, text))

    def row(self, slug: str) -> Any:
        """Return the team of the database, or the change that makes it."""
        return self._made.get(slug) or self._teams[slug]

    def links(self, entry: KeyEntry, row: ApiKey | None) -> dict[str, Any]:
        """Return the columns `team` and `owner` of a key; note when it would see the calls of no team."""
        found: dict[str, Any] = {}
        if "team" in entry.links:
            slug = entry.links["team"]
            found["team"] = None if slug is None else self.row(slug)
            if row is not None:
                self._moved[row.pk] = slug
        if "owner" in entry.links:
            name = entry.links["owner"]
            found["owner"] = None if name is None else self._accounts[name]
        sees = entry.columns.get("sees", row.sees if row else Sees.OWN)
        if sees == Sees.TEAM and found.get("team", row.team if row else None) is None:
            self.problems.append(Problem(entry.line, entry.path, "a key that sees its team's calls needs a team"))
        return found

    def prune(self, keys: Iterable[ApiKey]) -> list[Change]:
        """Return the removals of teams that the file leaves out; note those that keys belong to.

        Args: keys: those of the database that stay.
        """
        gone = [row for slug, row in self._teams.items() if slug not in self._document.teams]
        kept = Counter(self._moved.get(key.pk, key.team.slug if key.team else None) for key in keys)
        for row in gone:
            if kept[row.slug]:
                text = f"{kept[row.slug]} of its keys stay, so it cannot be removed; list it, or list keys"
                self.problems.append(Problem(0, f"teams.{row.slug}", text))
        return [Change("-", f"teams.{row.slug}", Team, row=row) for row in gone]


def lost_grants(
    leaving: Iterable[TeamNamespace], grants_of: dict[int, dict[str, Grant]], keys: dict[int, ApiKey]
) -> list[tuple[ApiKey, Grant]]:
    """Take out of `grants_of` the grants that go with a namespace that leaves a team (a trigger does it), and return
    them with their keys.

    Args: grants_of: grants by key and slug; keys: every key by its number.
    """
    lost = []
    for row in leaving:
        for key_id, grants in grants_of.items():
            key = keys[key_id]
            if key.team_id == row.team_id and row.namespace.slug in grants:
                lost.append((key, grants.pop(row.namespace.slug)))
    return lost
