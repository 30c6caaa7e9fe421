"""Imports a configuration file: read, check, compare, and write everything or nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import pghistory
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from gateway_project.configuration.changes import Change
from gateway_project.configuration.document import Known
from gateway_project.configuration.errors import ConfigurationError, Problem
from gateway_project.configuration.plan import Plan
from gateway_project.configuration.reader import Source, read
from gateway_project.configuration.schema import check
from keys.models import Team
from namespaces.models import ImportedConfiguration, Namespace, Upstream

# Any number works, as long as nothing else takes this one: two imports at once would trip over each other.
_LOCK = 0x6D63_7067_7763_6667


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or with `dry_run` would do. `skipped`: the file was the same as last time."""

    source: str
    changes: list[Change] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    dry_run: bool = False
    skipped: bool = False

    def __str__(self) -> str:
        if not self.changes:
            return f"{self.source}: nothing to change."
        counts = {sign: sum(change.sign == sign for change in self.changes) for sign in "+~-"}
        done = "would be " if self.dry_run else ""
        lines = [str(change) for change in self.changes]
        total = f"{counts['+']} {done}added, {counts['~']} {done}changed, {counts['-']} {done}removed"
        return "\n".join([*lines, f"{self.source}: {total}{'; nothing was written' if self.dry_run else ''}."])


def import_file(
    path: str | os.PathLike[str], *, dry_run: bool = False, prune: bool = False, only_if_changed: bool = False
) -> Imported:
    """Bring the database to what the file at `path` says: all of it or, when anything is wrong, nothing.

    Args:
        dry_run: compare only, write nothing.
        prune: also remove upstreams, namespaces, teams, limits, quotas, keys and secrets of keys that the file leaves
            out.
        only_if_changed: do nothing when this file, with the variables that it uses, was imported before.
    Raises ConfigurationError with every problem found.
    """
    source = read(path)
    place, digest = str(FilePath(path).resolve()), _digest(source, prune)
    with transaction.atomic(), pghistory.context(user=None, source="import_config", file=source.name):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if only_if_changed and ImportedConfiguration.objects.filter(source=place, digest=digest).exists():
            return Imported(source.name, skipped=True)
        document, warnings = check(source, _known(), prune)
        plan = Plan(document, prune)
        if plan.problems:
            raise ConfigurationError(source.name, plan.problems)
        result = Imported(source.name, plan.changes, [*warnings, *plan.warnings], dry_run)
        if not dry_run:
            for change in plan.changes:
                _make(change, source)
            ImportedConfiguration.objects.update_or_create(source=place, defaults={"digest": digest})
    return result


def _make(change: Change, source: Source) -> None:
    try:
        change.make()
    except IntegrityError:
        text = "somebody else changed the same thing at the same moment; run the import again"
        raise ConfigurationError(source.name, [Problem(0, change.path, text)]) from None


def _known() -> Known:
    return Known(
        frozenset(Upstream.objects.values_list("slug", flat=True)),
        frozenset(Namespace.objects.values_list("slug", flat=True)),
        frozenset(Team.objects.values_list("slug", flat=True)),
        frozenset(User.objects.values_list("username", flat=True)),
    )


def _digest(source: Source, prune: bool) -> str:
    """Return a digest of everything that an import of the file depends on. Keyed: a variable may be a weak secret."""
    variables = json.dumps([source.variables, prune], sort_keys=True).encode()
    return hmac.digest(settings.SECRET_KEY.encode(), hashlib.sha256(source.raw).digest() + variables, "sha256").hex()
