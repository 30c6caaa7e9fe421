"""What a file changes of the quarantines. A row is recognised by what it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway_project.configuration.changes import Change
from gateway_project.configuration.document import Document, QuarantineEntry
from gateway_project.configuration.errors import Problem
from gateway_project.configuration.key_names import UNKNOWN, KeysByDigest
from keys.models import Quarantine

Subject = tuple[Any, ...]  # scope, user, tool, and key, namespace and upstream: rows, or the changes that make them
Compare = Callable[..., Any]


class QuarantinePlan:
    """Compares the quarantines of a document with those of the database.

    Args: keys: what stands for each key of the file; row_of: the same for a namespace or an upstream by its kind and
    name.
    """

    def __init__(self, document: Document, keys: KeysByDigest, row_of: Callable[[str, str], Any]) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._row_of = row_of
        self._keys = keys
        rows = Quarantine.objects.select_related("key", "namespace", "upstream").order_by("id")
        self._left = list(rows)

    def compare(self, compare: Compare) -> None:
        """Note what must be written."""
        found = [(entry, fixed) for entry in self._document.quarantines if (fixed := self._fixed(entry)) is not None]
        # Several may stop the same thing: those that are there as they stand are kept, whatever the order.
        kept = [self._take(fixed, _terms(entry)) for entry, fixed in found]
        for (entry, fixed), same in zip(found, kept, strict=True):
            row, columns = same or self._take(fixed), _terms(entry)
            named = [
                str(value) for value in (fixed["user_id"], fixed["tool"], entry.namespace, entry.upstream) if value
            ]
            path = f"quarantines.{fixed['scope']}{''.join(f' {name}' for name in named)}"
            compare(path, Quarantine, row, columns, {**fixed, "set_by": "import_config"})

    def _take(self, fixed: dict[str, Any], terms: dict[str, Any] | None = None) -> Quarantine | None:
        """Return a row that no entry has taken yet, of this subject and, where they are given, on these terms."""
        for row in self._left:
            if _subject_of(row) == _subject(fixed) and all(
                getattr(row, name) == value for name, value in (terms or {}).items()
            ):
                self._left.remove(row)
                return row
        return None

    def prune(self) -> list[Change]:
        """Return the changes that lift what the file leaves out."""
        return [Change("-", f"quarantines.{row.scope} {row.subject}", Quarantine, row=row) for row in self._left]

    def _fixed(self, entry: QuarantineEntry) -> dict[str, Any] | None:
        key = None
        if entry.digests:
            key = self._keys.find(entry.digests)
            if key is None:
                self.problems.append(Problem(entry.line, entry.path, UNKNOWN))
                return None
        return {
            **{name: entry.columns.get(name, "") for name in ("scope", "user_id", "tool")},
            "key": key,
            "namespace": self._row_of("namespace", entry.namespace) if entry.namespace else None,
            "upstream": self._row_of("upstream", entry.upstream) if entry.upstream else None,
        }


def _terms(entry: QuarantineEntry) -> dict[str, Any]:
    return {name: entry.columns[name] for name in ("reason", "ends_at") if name in entry.columns}


def _subject(columns: dict[str, Any]) -> Subject:
    return tuple(columns[name] for name in ("scope", "user_id", "tool", "key", "namespace", "upstream"))


def _subject_of(row: Quarantine) -> Subject:
    return row.scope, row.user_id, row.tool, row.key, row.namespace, row.upstream
