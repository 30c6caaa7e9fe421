"""The part of a file that says who works together: `teams`, and the team and owner of a key."""

from __future__ import annotations

from gateway_project.configuration.document import Columns, Document, Reference, TeamEntry
from gateway_project.configuration.form import Form, column_of
from gateway_project.configuration.servers import state
from keys.models import Membership, Role, Team


def read_teams(form: Form, document: Document) -> None:
    """Read `teams.<name>`: title, description, members with their roles, and namespaces."""
    claimed: dict[str, str] = {}
    for slug, line, node in form:
        entry = Form(form.findings, node, (*form.path, slug), line)
        column = column_of(Team, "slug")
        form.checked(column, slug, slug)
        columns: Columns = {}
        for name in ("name", "description"):
            state(entry, columns, Team, name, entry.text(name))
        members = _members(entry.form("members"), document) if entry.node("members") is not None else None
        namespaces = _namespaces(entry, slug, claimed, document)
        entry.finish()
        document.teams[slug] = TeamEntry(slug, line, columns, members, namespaces)


def _members(form: Form, document: Document) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, line, _ in form:
        document.references.append(Reference(line, (*form.path, name), "account", name))
        role = form.text(name)
        if role is None:
            form.problem(f"is missing; write {', '.join(Role.values)}", name)
        elif form.checked(column_of(Membership, "role"), role, name) is not None:
            found[name] = role
    return found


def _namespaces(entry: Form, team: str, claimed: dict[str, str], document: Document) -> list[str] | None:
    names = entry.texts("namespaces")
    place, hidden = (*entry.path, "namespaces"), entry.is_expanded("namespaces")
    for slug in names or ():
        document.references.append(Reference(entry.line_of("namespaces"), place, "namespace", slug, hidden))
        first = claimed.setdefault(slug, team)
        if first != team:
            entry.problem(f"a namespace belongs to one team, and teams.{first} has one of these already", "namespaces")
    return names


def read_links(entry: Form, document: Document) -> dict[str, str | None]:
    """Read the `team` and the `owner` of a key, by name, as far as the file states them; null takes one away."""
    found: dict[str, str | None] = {}
    for name, kind in (("team", "team"), ("owner", "account")):
        if not entry.states(name):
            continue
        value = entry.text(name) or None
        if value is not None:
            place, hidden = (*entry.path, name), entry.is_expanded(name)
            document.references.append(Reference(entry.line_of(name), place, kind, value, hidden))
        found[name] = value
    return found
