"""The part of a file that says how much may be called: `limits`, and the `rateLimit` of B.10."""

from __future__ import annotations

from gateway_project.configuration.document import Columns, Document, LimitEntry, Reference
from gateway_project.configuration.form import Form, column_of
from gateway_project.configuration.servers import state
from keys.models import Algorithm, Counted, RateLimit
from namespaces.validators import validate_slug

# What `rateLimit` makes. One row, so that a file that changes its mind leaves no second limit behind.
OF_THE_FILE = "rate-limit"
DEFAULT_LIMIT = 100  # B.10


def read_limits(form: Form, document: Document) -> None:
    """Read `limits.<name>`: for which calls a limit is, how they are counted, and how many pass."""
    for slug, line, node in form:
        entry = Form(form.findings, node, (*form.path, slug), line)
        form.passes(validate_slug, slug, slug)
        columns: Columns = {}
        for name in ("description", "counted", "algorithm"):
            state(entry, columns, RateLimit, name, entry.text(name))
        if entry.states("user_id"):
            columns["user_id"] = entry.checked(column_of(RateLimit, "user_id"), entry.text("user_id") or "", "user_id")
        for name in ("requests", "burst"):
            state(entry, columns, RateLimit, name, entry.whole(name))
        if not entry.states("requests"):
            entry.problem("is missing; write how many pass (null: any number, -1: the default, 0: none)", "requests")
        _window(entry, columns, "window", "s")
        state(entry, columns, RateLimit, "tools", entry.texts("tools"))
        state(entry, columns, RateLimit, "enabled", entry.flag("enabled"))
        namespace = entry.text("namespace") or None
        if namespace is not None:
            place, hidden = (*entry.path, "namespace"), entry.is_expanded("namespace")
            document.references.append(Reference(entry.line_of("namespace"), place, "namespace", namespace, hidden))
        states_namespace = entry.states("namespace")
        entry.finish()
        document.limits[slug] = LimitEntry(slug, columns, namespace, states_namespace)


def read_rate_limit_of_all(form: Form, document: Document) -> None:
    """Read `rateLimit` (B.10): a sliding window for each key, or with `perKey: false` one for the whole gateway."""
    columns: Columns = {
        "description": "rateLimit of a configuration file",
        "algorithm": Algorithm.SLIDING_WINDOW.value,
        "requests": DEFAULT_LIMIT,
        "window_s": 60,
    }
    state(form, columns, RateLimit, "limit", form.whole("limit"), "requests")
    _window(form, columns, "windowSeconds", "")
    columns["counted"] = (Counted.TOGETHER if form.flag("perKey") is False else Counted.EACH_KEY).value
    form.finish()
    document.limits[OF_THE_FILE] = LimitEntry(OF_THE_FILE, columns)


def _window(form: Form, columns: Columns, name: str, unit: str) -> None:
    """Read a length of time in whole seconds."""
    seconds = form.seconds(name)
    if seconds is None:
        return
    if seconds != int(seconds):
        form.problem("must be whole seconds", name)
    else:
        state(form, columns, RateLimit, name, int(seconds), "window_s")
