"""The parts of a file that say what is published: upstreams, namespaces, and the `proxy.servers` of D.28."""

from __future__ import annotations

from typing import Any

from gateway_project.configuration.document import Columns, Document, NamespaceEntry, Reference, UpstreamEntry
from gateway_project.configuration.form import Form, column_of
from gateway_project.configuration.nodes import Mapping, Node
from namespaces.fields import Sealed, UndecryptableError
from namespaces.models import Namespace, Upstream, UpstreamCredential
from namespaces.validators import validate_header_name, validate_header_value, validate_slug

KINDS = ("tools", "prompts", "resources")
WHOLE_NUMBERS = ("max_response_bytes", "max_concurrency", "queue_length", "circuit_breaker_threshold", "max_retries")
TIMEOUTS = {name: f"{name}_timeout_s" for name in ("connect", "first_byte", "idle", "total")}


def state(form: Form, columns: Columns, model: Any, name: str, value: Any, column: str = "") -> None:
    """Put `value` under a column's name into `columns` if the file states the field and the column takes it.

    Null states the absence where the column has one, and counts as saying nothing where it has none.
    """
    field = column_of(model, column or name)
    if form.states(name) and (value is not None or (field.null and form.node(name) is None)):
        columns[field.name] = form.checked(field, value, name)


def rules(form: Form, columns: Columns, kinds: tuple[str, ...] = KINDS) -> None:
    """Read `tools`, `prompts` and `resources`: each with mode, listed and denied.

    Names listed without a mode mean `listed`, even when the list is empty: nothing passes then.
    """
    for kind in kinds:
        if form.node(kind) is None:
            continue
        rule = form.form(kind)
        listed, mode = rule.texts("listed"), rule.text("mode")
        read = {"mode": mode or ("all" if listed is None else "listed"), "listed": listed or []}
        read["denied"] = rule.texts("denied") or []
        for part, value in read.items():
            column = column_of(Namespace, f"{kind}_{part}")
            columns[column.name] = rule.checked(column, value, part)
        rule.finish()


def addresses(form: Form, columns: Columns, model: Any) -> None:
    """Read `addresses`: mode and listed. Networks without a mode mean `listed`, even when there are none."""
    if form.node("addresses") is None:
        return
    nested = form.form("addresses")
    listed, mode = nested.texts("listed"), nested.text("mode")
    read: dict[str, Any] = {"mode": mode or ("all" if listed is None else "listed"), "listed": listed or []}
    for part, value in read.items():
        column = column_of(model, f"addresses_{part}")
        columns[column.name] = nested.checked(column, value, part)
    nested.finish()


def read_upstreams(form: Form, document: Document) -> None:
    """Read `upstreams.<name>`."""
    for slug, line, node in form:
        entry = Form(form.findings, node, (*form.path, slug), line)
        form.passes(validate_slug, slug, slug)
        columns: Columns = {}
        _required_url(entry, columns)
        for name in ("description", "transport", "era"):
            state(entry, columns, Upstream, name, entry.text(name))
        timeouts = entry.form("timeouts")
        for name, column in TIMEOUTS.items() if entry.node("timeouts") is not None else ():
            columns[column] = timeouts.checked(column_of(Upstream, column), timeouts.seconds(name), name)
        timeouts.finish()
        for name in WHOLE_NUMBERS:
            state(entry, columns, Upstream, name, entry.whole(name))
        state(entry, columns, Upstream, "health_interval", entry.seconds("health_interval"), "health_interval_s")
        state(entry, columns, Upstream, "queue_wait", entry.seconds("queue_wait"), "queue_wait_s")
        state(entry, columns, Upstream, "circuit_breaker_timeout", entry.seconds("circuit_breaker_timeout"))
        state(entry, columns, Upstream, "trust_annotations", entry.flag("trust_annotations"))
        state(entry, columns, Upstream, "tags", entry.texts("tags"))
        state(entry, columns, Upstream, "enabled", entry.flag("enabled"))
        credentials = _credentials(entry.form("credentials")) if entry.node("credentials") is not None else None
        entry.finish()
        document.upstreams[slug] = UpstreamEntry(slug, columns, credentials)


def read_namespaces(form: Form, document: Document) -> None:
    """Read `namespaces.<name>`: with a `url` of its own (A.9), or mounting an upstream by its name."""
    for slug, line, node in form:
        entry = Form(form.findings, node, (*form.path, slug), line)
        form.passes(validate_slug, slug, slug)
        columns: Columns = {}
        state(entry, columns, Namespace, "description", entry.text("description"))
        state(entry, columns, Namespace, "enabled", entry.flag("enabled"))
        state(entry, columns, Namespace, "progress_extends_total", entry.flag("progress_extends_total"))
        state(entry, columns, Namespace, "identical_calls", entry.whole("identical_calls"))
        state(entry, columns, Namespace, "identical_window", entry.seconds("identical_window"), "identical_window_s")
        allowed, denied = entry.texts("allowed_tools"), entry.texts("denied_tools")
        own = entry.states("url")
        upstream = _own_upstream(entry, slug, document) if own else _named_upstream(entry, document)
        if (own or allowed is not None or denied is not None) and entry.node("tools") is None:
            # A.9: an absent or empty list of allowed tools means all of them.
            read = {"mode": "listed" if allowed else "all", "listed": allowed or [], "denied": denied or []}
            for part, value in read.items():
                source = {"listed": "allowed_tools", "denied": "denied_tools"}.get(part, "")
                columns[f"tools_{part}"] = entry.checked(column_of(Namespace, f"tools_{part}"), value, source)
        elif allowed is not None or denied is not None:
            entry.problem("say it in one place: allowed_tools and denied_tools, or tools", "tools")
        rules(entry, columns)
        addresses(entry, columns, Namespace)
        entry.finish()
        document.namespaces[slug] = NamespaceEntry(slug, columns, upstream)


def _required_url(entry: Form, columns: Columns) -> None:
    if (url := entry.text("url")) is not None:
        state(entry, columns, Upstream, "url", url)
    elif not isinstance(entry.node("url"), Mapping):
        entry.problem("is missing; write the server's MCP endpoint, such as https://mcp.example.com/mcp", "url")


def _own_upstream(entry: Form, slug: str, document: Document) -> str:
    if slug in document.upstreams:
        entry.problem(f"stands in upstreams.{slug} already; write upstream: {slug} here instead", "url")
        return slug
    if entry.states("upstream"):
        entry.problem("write either url or upstream, not both", "upstream")
    columns: Columns = {}
    _required_url(entry, columns)
    document.upstreams[slug] = UpstreamEntry(slug, columns)
    document.sections.add("upstreams")
    return slug


def _named_upstream(entry: Form, document: Document) -> str:
    upstream = entry.text("upstream")
    if not entry.states("upstream"):
        entry.problem("is missing; write the server's MCP endpoint (or upstream: with the name of one)", "url")
    elif not upstream:
        place = (*entry.path, "upstream")
        entry.findings.warn(entry.line_of("upstream"), place, "names no upstream, so the namespace answers nobody")
    else:
        place = (*entry.path, "upstream")
        hidden = entry.is_expanded("upstream")
        document.references.append(Reference(entry.line_of("upstream"), place, "upstream", upstream, hidden))
    return upstream or ""


def _credentials(form: Form) -> dict[str, Sealed]:
    """Read headers and their values: plain (by a variable, as a rule), or `{sealed: …}` as an export writes it."""
    found: dict[str, Sealed] = {}
    for header, line, node in form:
        form.checked(column_of(UpstreamCredential, "header"), header, header)
        if header.lower() in (name.lower() for name in found):
            form.problem("this header stands here twice (upper and lower case are the same)", header, line=line)
        value = _sealed(form, header, line, node) if isinstance(node, Mapping) else _plain(form, header)
        if value is not None:
            found[header] = value
    return found


def _sealed(form: Form, header: str, line: int, node: Node) -> Sealed | None:
    nested = Form(form.findings, node, (*form.path, header), line)
    token = nested.text("sealed")
    nested.finish()
    if not token:
        nested.problem("is missing; write the token that export_config --with-secrets gave", "sealed")
        return None
    sealed = Sealed(token)
    try:
        fits = nested.passes(validate_header_value, sealed.reveal(), "sealed")
    except UndecryptableError:
        nested.problem("none of GATEWAY_ENCRYPTION_KEYS opens it; write the value itself, as ${VARIABLE}", "sealed")
        return None
    return sealed if fits else None


def _plain(form: Form, header: str) -> Sealed | None:
    value = form.scalar(header)
    if value is None or not value.text:
        form.problem("is empty; write the header's whole value, such as Bearer ${TOKEN}", header)
        return None
    return Sealed.seal(value.text) if form.passes(validate_header_value, value.text, header) else None


def read_proxy(form: Form, document: Document) -> None:
    """Read `proxy.servers[]` (D.28): each becomes an upstream and a namespace of the same name."""
    heartbeat_s = _heartbeat_s(form.form("heartbeat"))
    for position, node in form.items("servers"):
        entry = Form(form.findings, node, (*form.path, "servers", position), node.line)
        slug, kind = entry.text("name") or "", entry.text("type")
        entry.passes(validate_slug, slug, "name")
        if slug in document.upstreams or slug in document.namespaces:
            entry.problem("another upstream or namespace of this file has the name already", "name")
        columns: Columns = {}
        if kind is not None:
            columns["transport"] = entry.checked(column_of(Upstream, "transport"), kind, "type")
        connection = entry.form("connection")
        _required_url(connection, columns)
        state(connection, columns, Upstream, "timeout", connection.seconds("timeout"), "first_byte_timeout_s")
        connection.finish()
        if heartbeat_s is not None:
            columns["health_interval_s"] = heartbeat_s
        credentials = _proxy_credentials(entry.form("auth")) if entry.node("auth") is not None else None
        entry.finish()
        document.upstreams[slug] = UpstreamEntry(slug, columns, credentials)
        document.namespaces[slug] = NamespaceEntry(slug, {}, slug)
    form.finish()


def _heartbeat_s(form: Form) -> float | None:
    """Read `proxy.heartbeat` (D.13): how often the servers of the file are checked, if it says so."""
    enabled, interval_s = form.flag("enabled"), form.seconds("intervalSeconds")
    form.finish()
    if interval_s is None or enabled is False:
        return None
    checked: float = form.checked(column_of(Upstream, "health_interval_s"), interval_s, "intervalSeconds")
    return checked


def _proxy_credentials(form: Form) -> dict[str, Sealed]:
    kind, header = form.text("type"), form.text("header") or "Authorization"
    if kind not in (None, "header"):
        form.problem("only header is understood; this server would be called without credentials", "type")
    form.passes(validate_header_name, header, "header")
    value = _plain(form, "value")
    form.finish()
    return {header: value} if value is not None else {}
