"""The parts of a file that say who may call: `auth` and `rate_limit` (A.11, A.13), and the richer `keys`."""

from __future__ import annotations

import re

from django.conf import settings

from gateway_project.configuration.document import Columns, Document, KeyEntry, Reference, SecretEntry
from gateway_project.configuration.errors import dotted
from gateway_project.configuration.form import Form, column_of
from gateway_project.configuration.servers import addresses, rules, state
from gateway_project.configuration.teams import read_links
from keys import secrets
from keys.models import ApiKey, Grant, KeySecret

SHORT_KEY = 20
DEFAULT_RPM, DEFAULT_BURST = 100, 10
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_rate_limit(form: Form) -> Columns:
    """Read `rate_limit` (A.13) and return the limit that every key under `auth.api_keys` gets."""
    columns: Columns = {}
    enabled = form.flag("enabled")
    limit, burst = form.whole("requests_per_minute"), form.whole("burst_size")
    state(form, columns, ApiKey, "requests_per_minute", limit)
    state(form, columns, ApiKey, "burst_size", burst, "burst")
    form.finish()
    if enabled is False:
        return {"requests_per_minute": None, "burst": None}
    if columns.get("requests_per_minute") == 0:
        form.findings.warn(
            form.line_of("requests_per_minute"),
            (*form.path, "requests_per_minute"),
            "0 lets no call pass; for no limit write enabled: false",
        )
    return {
        "requests_per_minute": DEFAULT_RPM if limit is None else columns.get("requests_per_minute"),
        "burst": DEFAULT_BURST if burst is None else columns.get("burst"),
    }


def read_auth(form: Form, document: Document, limit: Columns) -> None:
    """Read `auth` (A.11): API keys in plain text, each with its user and its namespaces."""
    enabled = form.flag("enabled")
    if enabled is False and settings.AUTH_ENABLED:
        form.problem(
            "a file alone does not open the gateway to everyone; set GATEWAY_AUTH_ENABLED=false as well"
            " (accepted on a loopback address only), or remove this",
            "enabled",
        )
    elif enabled and not settings.AUTH_ENABLED:
        text = "has no effect while GATEWAY_AUTH_ENABLED is false: anyone may call"
        form.findings.warn(form.line_of("enabled"), (*form.path, "enabled"), text)
    keys = form.form("api_keys")
    if form.node("api_keys") is not None:
        document.sections.add("keys")
    for key, line, node in keys:
        entry = Form(form.findings, node, (*keys.path, key), line)
        columns: Columns = dict(limit)
        _user(entry, columns)
        namespaces = _named(entry, document)
        columns["all_namespaces"] = not namespaces
        entry.finish()
        if (secret := plain_secret(entry, key, line)) is not None and "user_id" in columns:
            grants: dict[str, Columns] | None = {slug: {} for slug in namespaces} if namespaces else None
            document.keys.append(KeyEntry(dotted(entry.path), line, columns, (secret,), grants))
    for name in ("claims", "mappings", "permissions", "options"):
        if form.node(name) is not None:
            form.findings.warn(form.line_of(name), (*form.path, name), "is not supported and was left out")
    form.finish()


def plain_secret(form: Form, key: str, line: int, *names: str) -> SecretEntry | None:
    """Return the entry of a key in plain text, after noting what is wrong with it and warning when it is short."""
    if not re.fullmatch(r"[\x21-\x7e]+", key) or not secrets.is_well_formed(key):
        form.problem(
            "this key is mistyped: its checksum is wrong"
            if key.startswith(secrets.PREFIX)
            else f"a key is 1 to {secrets.MAX_KEY_LENGTH} visible ASCII characters without blanks",
            *names,
            line=line,
        )
        return None
    if len(key) < SHORT_KEY:
        form.findings.warn(
            line,
            (*form.path, *names),
            f"this key has only {len(key)} characters and can be guessed; issue a new one with create_key",
        )
    return SecretEntry.of(key)


def read_keys(form: Form, document: Document) -> None:
    """Read `keys[]`: what export_config writes, and what people write by hand with `key: ${VARIABLE}`."""
    for position, node in form.items("keys"):
        entry = Form(form.findings, node, ("keys", position), node.line)
        columns: Columns = {}
        _user(entry, columns)
        state(entry, columns, ApiKey, "all_namespaces", entry.flag("all_namespaces"))
        for name in ("expires_at", "revoked_at"):
            state(entry, columns, ApiKey, name, entry.moment(name))
        _limits(entry, columns)
        state(entry, columns, ApiKey, "max_concurrency", entry.whole("max_concurrency"))
        state(entry, columns, ApiKey, "sees", entry.text("sees"))
        addresses(entry, columns, ApiKey)
        links = read_links(entry, document)
        grants = _grants(entry, document)
        found = _secrets(entry)
        place, complete = dotted(entry.path), entry.node("secrets") is not None
        entry.finish()
        if found and "user_id" in columns:
            document.keys.append(KeyEntry(place, entry.line, columns, tuple(found), grants, complete, links))


def _user(entry: Form, columns: Columns) -> None:
    user = entry.text("user_id")
    if user:
        state(entry, columns, ApiKey, "user_id", user)
    else:
        entry.problem("is missing; write who calls with this key", "user_id")
    state(entry, columns, ApiKey, "description", entry.text("description"))


def _limits(entry: Form, columns: Columns) -> None:
    for name in ("requests_per_minute", "burst"):
        state(entry, columns, Grant, name, entry.whole(name))
    state(entry, columns, Grant, "algorithm", entry.text("algorithm"))


def _named(entry: Form, document: Document) -> list[str] | None:
    """Read `namespaces[]`, the short form of grants without rules."""
    names = entry.texts("namespaces")
    for slug in names or ():
        place = (*entry.path, "namespaces")
        hidden = entry.is_expanded("namespaces")
        document.references.append(Reference(entry.line_of("namespaces"), place, "namespace", slug, hidden))
    return names


def _grants(entry: Form, document: Document) -> dict[str, Columns] | None:
    names = _named(entry, document)
    if names is not None:
        if entry.node("grants") is not None:
            entry.problem("say it in one place: namespaces or grants", "namespaces")
        return {slug: {} for slug in names}
    if entry.node("grants") is None:
        return None
    grants: dict[str, Columns] = {}
    form = entry.form("grants")
    for slug, line, node in form:
        grant = Form(form.findings, node, (*form.path, slug), line)
        document.references.append(Reference(line, grant.path, "namespace", slug))
        grants[slug] = {}
        rules(grant, grants[slug])
        _limits(grant, grants[slug])
        grant.finish()
    return grants


def _secrets(entry: Form) -> list[SecretEntry]:
    plain = entry.scalar("key")
    if plain is not None:
        if entry.node("secrets") is not None:
            entry.problem("say it in one place: key or secrets", "key")
        secret = plain_secret(entry, plain.text, plain.line, "key")
        return [secret] if secret else []
    found = []
    for position, node in entry.items("secrets"):
        form = Form(entry.findings, node, (*entry.path, "secrets", position), node.line)
        if (secret := _stored(form)) is not None:
            found.append(secret)
    if not entry.items("secrets"):
        entry.problem("is missing; write the key as ${VARIABLE}, or secrets as export_config writes them", "key")
    return found


def _stored(form: Form) -> SecretEntry | None:
    """Read a digest that this installation made before: nothing else can be matched with a caller's key."""
    digest, pepper, prefix = form.text("digest") or "", form.text("pepper") or "", form.text("prefix") or ""
    expires_at = form.moment("expires_at")
    form.finish()
    if not _DIGEST.fullmatch(digest):
        form.problem("must be 64 hexadecimal digits", "digest")
        return None
    if pepper not in (secrets.pepper_id(value) for value in settings.KEY_PEPPERS):
        form.problem("this digest was made with a pepper that is not in GATEWAY_KEY_PEPPER; issue a new key", "pepper")
        return None
    if form.checked(column_of(KeySecret, "prefix"), prefix, "prefix") is None:
        return None
    return SecretEntry((bytes.fromhex(digest),), pepper, prefix, expires_at)
