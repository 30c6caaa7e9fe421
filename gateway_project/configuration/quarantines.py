"""The part of a file that says what is stopped, and why: `quarantines`."""

from __future__ import annotations

from typing import Any

from gateway_project.configuration.document import Columns, Document, QuarantineEntry, Reference
from gateway_project.configuration.errors import dotted
from gateway_project.configuration.form import Form
from gateway_project.configuration.key_names import digests_named
from gateway_project.configuration.servers import state
from keys.models import Quarantine, Scope
from keys.quarantine_models import NARROWS_TOOL, SUBJECT

# How a file names the subject of a scope, where it does not do so as the column does.
_FIELDS = {"key": ("digest", "key")}


def read_quarantines(form: Form, document: Document) -> None:
    """Read `quarantines[]`: what is stopped (`scope`, and the field that names it), `reason` and `ends_at`."""
    for position, node in form.items("quarantines"):
        entry = Form(form.findings, node, ("quarantines", position), node.line)
        columns: Columns = {"user_id": "", "tool": ""}
        scope = entry.text("scope")
        state(entry, columns, Quarantine, "scope", scope)
        if not scope:
            entry.problem(f"is missing; write {', '.join(Scope.values)}", "scope")
        for name in ("user_id", "tool"):
            state(entry, columns, Quarantine, name, entry.text(name))
        links = {name: _link(entry, name, document) for name in NARROWS_TOOL}
        digests = digests_named(entry)
        if not entry.text("reason"):
            entry.problem("is missing; write why, for the people whose calls fail", "reason")
        state(entry, columns, Quarantine, "reason", entry.text("reason"))
        state(entry, columns, Quarantine, "ends_at", entry.moment("ends_at"))
        if scope in Scope.values:
            _names_one(entry, Scope(scope), {**columns, **links, "key": digests})
        place = dotted(entry.path)
        entry.finish()
        document.quarantines.append(QuarantineEntry(place, entry.line, columns, digests, **links))


def _link(entry: Form, name: str, document: Document) -> str | None:
    slug = entry.text(name) or None
    if slug is not None:
        place, hidden = (*entry.path, name), entry.is_expanded(name)
        document.references.append(Reference(entry.line_of(name), place, name, slug, hidden))
    return slug


def _names_one(entry: Form, scope: Scope, stated: dict[str, Any]) -> None:
    """Note a subject that is missing, or one too many."""
    for field in SUBJECT.values():
        names = _FIELDS.get(field, (field,))
        if field == SUBJECT[scope]:
            if not stated[field]:
                entry.problem(f"is missing; it names what is quarantined (scope: {scope})", names[0])
        elif stated[field] and not (scope == Scope.TOOL and field in NARROWS_TOOL):
            entry.problem(f"does not belong to scope: {scope}", names[0])
