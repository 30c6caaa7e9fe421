"""The shape of a configuration file: both formats, every field, and what may not stand in it."""

from __future__ import annotations

import difflib

from gateway_project.configuration import callers, limits, quarantines, quotas, servers, teams
from gateway_project.configuration.defaults import read_server, refuse
from gateway_project.configuration.document import Document, Known
from gateway_project.configuration.errors import Problem
from gateway_project.configuration.form import Findings, Form
from gateway_project.configuration.reader import Source
from keys.redaction import MASK

FORMAT_VERSION = 1
_SECTIONS = {"upstreams": ["upstreams"], "namespaces": ["namespaces"], "teams": ["teams"], "keys": ["keys"]}
_SECTIONS |= {"limits": ["limits"], "quotas": ["quotas"], "quarantines": ["quarantines"]}
_SECTIONS["proxy"] = ["upstreams", "namespaces"]


def check(source: Source, known: Known, prune: bool = False) -> tuple[Document, list[Problem]]:
    """Return what the file asks for, and warnings.

    Args: known: the slugs in the database; prune: whether those that the file leaves out will go.
    Raises ConfigurationError with every problem of the file at once.
    """
    findings, document = Findings(), Document()
    form = Form(findings, source.root, ())
    _version(form)
    read_server(form)
    for section, kinds in _SECTIONS.items():
        if form.node(section) is not None or form.states(section):
            document.sections.update(kinds)
    servers.read_upstreams(form.form("upstreams"), document)
    servers.read_namespaces(form.form("namespaces"), document)
    servers.read_proxy(form.form("proxy"), document)
    teams.read_teams(form.form("teams"), document)
    limits.read_limits(form.form("limits"), document)
    if form.node("rateLimit") is not None:
        limits.read_rate_limit_of_all(form.form("rateLimit"), document)
    quotas.read_quotas(form.form("quotas"), document)
    limit = callers.read_rate_limit(form.form("rate_limit")) if form.node("rate_limit") is not None else {}
    callers.read_auth(form.form("auth"), document, limit)
    callers.read_keys(form, document)
    quarantines.read_quarantines(form, document)
    form.ignore("x-")
    if form.node("oauth") is not None:
        findings.warn(form.line_of("oauth"), ("oauth",), "is not supported and was left out")
    form.finish()
    _refer(document, known, prune, findings)
    _unique_keys(document, findings)
    refuse(source, findings)
    return document, sorted(set(findings.warnings))


def _version(form: Form) -> None:
    version = form.whole("version")
    if version is not None and version != FORMAT_VERSION:
        form.problem(f"this release reads version {FORMAT_VERSION}", "version")


def _refer(document: Document, known: Known, prune: bool, findings: Findings) -> None:
    """Note every name that stands for nothing, in the file or in what stays of the database."""
    there = {"upstream": set(document.upstreams), "namespace": set(document.namespaces), "team": set(document.teams)}
    there["account"] = set(known.accounts)
    for kind, slugs in (("upstream", known.upstreams), ("namespace", known.namespaces), ("team", known.teams)):
        if not (prune and f"{kind}s" in document.sections):
            there[kind] |= slugs
    for reference in document.references:
        if reference.slug not in there[reference.kind]:
            near = difflib.get_close_matches(reference.slug, sorted(there[reference.kind]), n=1, cutoff=0.6)
            nowhere = "; make it first" if reference.kind == "account" else ", neither in this file nor in the database"
            hint = f"; did you mean {near[0]}?" if near else nowhere
            name = MASK if reference.hidden else repr(reference.slug[:80])
            findings.problem(reference.line, reference.path, f"no {reference.kind} is called {name}{hint}")


def _unique_keys(document: Document, findings: Findings) -> None:
    seen: dict[bytes, str] = {}
    for entry in document.keys:
        for secret in entry.secrets:
            first = seen.setdefault(secret.digests[0], entry.path)
            if first != entry.path or entry.secrets.count(secret) > 1:
                findings.problems.append(Problem(entry.line, entry.path, f"has the same secret as {first}"))
