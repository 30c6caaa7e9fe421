"""The part of a file that says how much may be used up: `quotas`."""

from __future__ import annotations

from gateway_project.configuration.document import Columns, Document, QuotaEntry
from gateway_project.configuration.form import Form, column_of
from gateway_project.configuration.limits import read_key, read_links
from gateway_project.configuration.servers import state
from keys.models import Quota
from namespaces.validators import validate_slug


def read_quotas(form: Form, document: Document) -> None:
    """Read `quotas.<name>`: for which calls a quota is, who has one for itself, and how much it holds."""
    for slug, line, node in form:
        entry = Form(form.findings, node, (*form.path, slug), line)
        form.passes(validate_slug, slug, slug)
        columns: Columns = {}
        for name in ("description", "counted", "measure", "period"):
            state(entry, columns, Quota, name, entry.text(name))
        if entry.states("user_id"):
            columns["user_id"] = entry.checked(column_of(Quota, "user_id"), entry.text("user_id") or "", "user_id")
        for name in ("amount", "warn_percent"):
            state(entry, columns, Quota, name, entry.whole(name))
        if entry.node("amount") is None:
            entry.problem("is missing; write how many calls or bytes", "amount")
        state(entry, columns, Quota, "tools", entry.texts("tools"))
        for name in ("hard", "enabled"):
            state(entry, columns, Quota, name, entry.flag(name))
        links, digests = read_links(entry, document, "namespace", "team"), read_key(entry)
        entry.finish()
        document.quotas[slug] = QuotaEntry(slug, line, columns, links, digests)
