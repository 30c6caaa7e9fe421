"""The difference between what a file asks for and what the database holds, as an ordered list of changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import models

from gateway_project.configuration.changes import Change
from gateway_project.configuration.document import (
    Columns,
    Document,
    KeyEntry,
    LimitEntry,
    NamespaceEntry,
    QuotaEntry,
    SecretEntry,
    UpstreamEntry,
)
from gateway_project.configuration.errors import Problem
from gateway_project.configuration.key_names import UNKNOWN, KeysByDigest
from gateway_project.configuration.quarantine_plan import QuarantinePlan
from gateway_project.configuration.team_plan import TeamPlan, lost_grants
from keys.call_rule import CallRule
from keys.limit_models import Burst, window_problem
from keys.models import ApiKey, Grant, KeySecret, Quota, RateLimit, TeamNamespace
from namespaces.fields import Sealed, UndecryptableError
from namespaces.models import Mount, Namespace, Upstream, UpstreamCredential
from namespaces.rule_columns import Mode


class Plan:
    """Compares a document with the database. `changes` stand in the order in which they can be made."""

    def __init__(self, document: Document, prune: bool = False) -> None:
        self.changes: list[Change] = []
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._upstreams = {row.slug: row for row in Upstream.objects.prefetch_related("credentials")}
        self._namespaces = {row.slug: row for row in Namespace.objects.select_related("mount__upstream")}
        self._secrets = {bytes(row.digest): row for row in KeySecret.objects.select_related("key__team", "key__owner")}
        self._secrets_of: dict[int, list[KeySecret]] = defaultdict(list)
        for secret in self._secrets.values():
            self._secrets_of[secret.key_id].append(secret)
        self._grants_of: dict[int, dict[str, Grant]] = defaultdict(dict)
        for grant in Grant.objects.select_related("namespace"):
            self._grants_of[grant.key_id][grant.namespace.slug] = grant
        self._rows: dict[tuple[str, str], Any] = {}
        for upstream in document.upstreams.values():
            self._upstream(upstream)
        for namespace in document.namespaces.values():
            self._namespace(namespace)
        self._limits = {row.slug: row for row in RateLimit.objects.select_related("namespace", "key")}
        self._keys = {row.pk: row for row in ApiKey.objects.select_related("team")}
        self._teams = TeamPlan(document, self.changes)
        self._quotas = {row.slug: row for row in Quota.objects.select_related("namespace", "team", "key")}
        self._take_from_keys(self._teams.compare(self._compare, self._namespace_row))
        kept = [self._key(entry, prune) for entry in document.keys]
        self._named = KeysByDigest(document, self._secrets, kept)
        for limit in document.limits.values():
            self._rule(f"limits.{limit.slug}", RateLimit, self._limits.get(limit.slug), limit)
        for quota in document.quotas.values():
            self._rule(f"quotas.{quota.slug}", Quota, self._quotas.get(quota.slug), quota)
        stopped = QuarantinePlan(document, self._named, self._row)
        stopped.compare(self._compare)
        self.problems += stopped.problems
        self.changes += self._teams.departures
        self.warnings += self._teams.warnings
        if prune:
            self.changes += stopped.prune() if "quarantines" in document.sections else []
            self._prune(document, {row.pk for row in kept if isinstance(row, ApiKey)})
        self.problems += self._teams.problems

    def _compare(self, path: str, model: type[models.Model], row: Any, columns: Columns, fixed: Columns) -> Any:
        """Note what must be written so that the row holds `columns`; return the row, or the change that makes it.

        Args: row: the present one or None; fixed: columns that only a new row gets (they are its identity).
        """
        if issubclass(model, Burst) and (problem := _window_problem(model, row, columns)):
            self.problems.append(Problem(0, path, problem))
        if row is None:
            change = Change("+", path, model, {**fixed, **columns})
            self.changes.append(change)
            return change
        different = {name: value for name, value in columns.items() if not _same(getattr(row, name), value)}
        if different:
            self.changes.append(Change("~", path, model, different, row))
        return row

    def _upstream(self, entry: UpstreamEntry) -> None:
        row = self._upstreams.get(entry.slug)
        path = f"upstreams.{entry.slug}"
        made = self._compare(path, Upstream, row, entry.columns, {"slug": entry.slug})
        self._rows["upstream", entry.slug] = made
        if entry.credentials is None:
            return
        present = {one.header.lower(): one for one in row.credentials.all()} if row else {}
        for header, value in entry.credentials.items():
            old = present.pop(header.lower(), None)
            here = f"{path}.credentials.{header}"
            self._compare(here, UpstreamCredential, old, {"header": header, "value": value}, {"upstream": made})
        self._remove(f"{path}.credentials", present.values(), "header")

    def _namespace(self, entry: NamespaceEntry) -> None:
        row = self._namespaces.get(entry.slug)
        path = f"namespaces.{entry.slug}"
        made = self._compare(path, Namespace, row, _closed(entry.columns, row), {"slug": entry.slug})
        self._rows["namespace", entry.slug] = made
        mount = getattr(row, "mount", None) if row else None
        if not entry.upstream:
            self._remove(path, [mount] if mount else [], "upstream")
            return
        upstream = self._rows.get(("upstream", entry.upstream)) or self._upstreams[entry.upstream]
        self._compare(f"{path}.mount", Mount, mount, {"upstream": upstream}, {"namespace": made})

    def _rule(self, path: str, model: type[CallRule], row: Any, entry: LimitEntry | QuotaEntry) -> None:
        """Compare a limit or a quota; keys were compared before, so it may be for one that the file makes."""
        columns = dict(entry.columns)
        for name, find in (("namespace", self._namespace_row), ("team", self._teams.row)):
            if name in entry.links:
                slug = entry.links[name]
                columns[name] = None if slug is None else find(slug)
        if entry.digests is not None:
            columns["key"] = self._named.find(entry.digests) if entry.digests else None
            if entry.digests and columns["key"] is None:
                self.problems.append(Problem(entry.line, path, UNKNOWN))
        self._compare(path, model, row, columns, {"slug": entry.slug})

    def _namespace_row(self, slug: str) -> Any:
        """Return the namespace of the database, or the change that makes it."""
        return self._rows.get(("namespace", slug)) or self._namespaces[slug]

    def _row(self, kind: str, slug: str) -> Any:
        """Return a namespace or an upstream of the database, or the change that makes it."""
        known: dict[str, Any] = self._namespaces if kind == "namespace" else self._upstreams
        return self._rows.get((kind, slug)) or known[slug]

    def _take_from_keys(self, leaving: Iterable[TeamNamespace]) -> None:
        for key, grant in lost_grants(leaving, self._grants_of, self._keys):
            path = f"keys.{key.user_id}{self._prefix(key)}.grants.{grant.namespace.slug}"
            self.changes.append(Change("-", path, Grant, row=grant))

    def _prefix(self, key: ApiKey) -> str:
        return next((f" ({one.prefix}…)" for one in self._secrets_of[key.pk]), "")

    def _key(self, entry: KeyEntry, prune: bool) -> Any:
        rows = {
            self._secrets[digest].key_id: self._secrets[digest].key
            for secret in entry.secrets
            for digest in secret.digests
            if digest in self._secrets
        }
        if len(rows) > 1:
            text = "its secrets belong to several keys of the database; give each key an entry of its own"
            self.problems.append(Problem(entry.line, entry.path, text))
            return None
        row = next(iter(rows.values()), None)
        columns = entry.columns | self._teams.links(entry, row)
        if row is not None and row.revoked_at is not None and columns.get("revoked_at", row) != row.revoked_at:
            columns.pop("revoked_at", None)
            self._warn(entry, "this key was revoked and stays revoked; issue a new one with create_key")
        path = f"keys.{entry.label}"
        made = self._compare(path, ApiKey, row, columns, {"created_by": "import_config"})
        self._key_secrets(path, entry, made, row, prune and entry.complete)
        self._key_grants(path, entry, made, row)
        if row is None and not entry.grants and not columns.get("all_namespaces"):
            self._warn(entry, "this key reaches no namespace: give it namespaces, grants or all_namespaces: true")
        return made

    def _key_secrets(self, path: str, entry: KeyEntry, made: Any, row: Any, prune: bool) -> None:
        listed = set()
        for secret in entry.secrets:
            old = next((self._secrets[digest] for digest in secret.digests if digest in self._secrets), None)
            if old is not None:
                listed.add(old.pk)
            self._compare(
                f"{path}.secrets.{secret.prefix}…",
                KeySecret,
                old,
                _shortened(old, secret),
                {"key": made, "digest": secret.digests[0], "pepper": secret.pepper, "prefix": secret.prefix},
            )
        if prune and row is not None:
            self._remove(f"{path}.secrets", [one for one in self._secrets_of[row.pk] if one.pk not in listed], "prefix")

    def _key_grants(self, path: str, entry: KeyEntry, made: Any, row: Any) -> None:
        if entry.grants is None:
            return
        present = dict(self._grants_of[row.pk]) if row else {}
        for slug, columns in entry.grants.items():
            old = present.pop(slug, None)
            fixed = {"key": made, "namespace": self._namespace_row(slug)}
            self._compare(f"{path}.grants.{slug}", Grant, old, _closed(columns, old), fixed)
        self._remove(f"{path}.grants", present.values(), "namespace")

    def _prune(self, document: Document, kept: set[int]) -> None:
        """Remove what the file leaves out, of the kinds that it speaks of at all."""
        if "keys" in document.sections:
            for key in self._keys.values():
                if key.pk not in kept:
                    self.changes.append(Change("-", f"keys.{key.user_id}{self._prefix(key)}", ApiKey, row=key))
        if "teams" in document.sections:
            pruned = set(self._keys) - kept if "keys" in document.sections else set()
            self.changes += self._teams.prune(row for row in self._keys.values() if row.pk not in pruned)
        if "quotas" in document.sections:
            self._remove("quotas", [row for slug, row in self._quotas.items() if slug not in document.quotas], "slug")
        if "limits" in document.sections:
            self._remove("limits", [row for slug, row in self._limits.items() if slug not in document.limits], "slug")
        gone = []
        if "namespaces" in document.sections:
            gone = [row for slug, row in self._namespaces.items() if slug not in document.namespaces]
            self._remove("namespaces", gone, "slug")
        if "upstreams" in document.sections:
            self._prune_upstreams(document, {row.slug for row in gone})

    def _prune_upstreams(self, document: Document, gone: set[str]) -> None:
        used = {entry.upstream for entry in document.namespaces.values()}
        for slug, row in self._namespaces.items():
            if slug not in gone and slug not in document.namespaces and getattr(row, "mount", None):
                upstream = row.mount.upstream.slug
                if upstream not in document.upstreams and upstream not in used:
                    text = f"namespace {slug} mounts it and stays, so it cannot be removed; list it, or list namespaces"
                    self.problems.append(Problem(0, f"upstreams.{upstream}", text))
        leave = set(document.upstreams) | used
        self._remove("upstreams", [row for slug, row in self._upstreams.items() if slug not in leave], "slug")

    def _remove(self, path: str, rows: Iterable[Any], name: str) -> None:
        for row in rows:
            self.changes.append(Change("-", f"{path}.{getattr(row, name)}", type(row), row=row))

    def _warn(self, entry: KeyEntry, message: str) -> None:
        self.warnings.append(Problem(entry.line, entry.path, message))


def _same(present: Any, wanted: Any) -> bool:
    if isinstance(present, Sealed) and isinstance(wanted, Sealed):
        try:
            return present == wanted or present.reveal() == wanted.reveal()
        except UndecryptableError:
            return False
    return bool(present == wanted)


def _window_problem(model: type[Burst], row: Any, columns: Columns) -> str | None:
    """Return what is wrong with the limit that the row will have, which neither row nor file may say alone."""
    name = "requests" if model is RateLimit else "requests_per_minute"
    present = row if row is not None else model()
    return window_problem(columns.get("algorithm", present.algorithm) or "", columns.get(name, getattr(present, name)))


def _closed(columns: Columns, row: Any) -> Columns:
    """Return `columns` with prompts and resources closed where tools become a list and nothing is said of those.

    A list of tools means to narrow; without this, everything else of the server would stay open.
    """
    if columns.get("tools_mode") != Mode.LISTED or (row is not None and row.tools_mode == Mode.LISTED):
        return columns
    closed = dict(columns)
    for name in ("prompts_mode", "resources_mode"):
        if row is None or getattr(row, name) == Mode.ALL:
            closed.setdefault(name, Mode.NONE.value)
    return closed


def _shortened(old: KeySecret | None, secret: SecretEntry) -> Columns:
    """Return the end of a secret. An import may bring it nearer, never put it off: an old file revives nothing."""
    if old is None:
        return {"expires_at": secret.expires_at}
    ends = [end for end in (old.expires_at, secret.expires_at) if end is not None]
    return {"expires_at": min(ends, default=None)}
