"""The part of a file that says how much may be called: `limits`, and the `rateLimit` of B.10."""

from __future__ import annotations

from gateway_project.configuration.document import Columns, Document, LimitEntry, Reference
from gateway_project.configuration.form import Form, column_of
from gateway_project.configuration.key_names import digests_named
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
        links, digests = read_links(entry, document, "namespace"), read_key(entry)
        entry.finish()
        document.limits[slug] = LimitEntry(slug, line, columns, links, digests)


def read_links(entry: Form, document: Document, *names: str) -> dict[str, str | None]:
    """Return what a rule is narrowed to, by name, as far as the file says; None for all of them."""
    found: dict[str, str | None] = {}
    for name in names:
        if not entry.states(name):
            continue
        value = entry.text(name) or None
        if value is not None:
            place, hidden = (*entry.path, name), entry.is_expanded(name)
            document.references.append(Reference(entry.line_of(name), place, name, value, hidden))
        found[name] = value
    return found


def read_key(entry: Form) -> tuple[bytes, ...] | None:
    """Return how a secret of the key that a rule is for may be stored: () for every key, None when it says nothing."""
    names = [name for name in ("key", "digest") if entry.states(name)]
    for name in names:
        if entry.text(name) == "":  # a variable that is not filled in must not open a rule to every key
            entry.problem("is empty; write null for every key", name)
    return digests_named(entry) if names else None


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
    document.limits[OF_THE_FILE] = LimitEntry(OF_THE_FILE, form.line, columns)


def _window(form: Form, columns: Columns, name: str, unit: str) -> None:
    """Read a length of time in whole seconds."""
    seconds = form.seconds(name)
    if seconds is None:
        return
    if seconds != int(seconds):
        form.problem("must be whole seconds", name)
    else:
        state(form, columns, RateLimit, name, int(seconds), "window_s")
