"""The effective set: upstream's list ∩ namespace rules ∩ key rules, decided by one function for lists and calls."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from namespaces.rules import NameRule, RuleSet
from proxy.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, Denied, Invalid
from proxy.jsonrpc import REQUEST_METHODS, Message

_TEMPLATE_PART = re.compile(r"\{[^{}]*\}")
# method -> (kind in rules, kind in the catalogue)
KIND_OF = {
    "tools/call": "tool",
    "prompts/get": "prompt",
    "resources/read": "resource",
    "resources/subscribe": "resource",
    "resources/unsubscribe": "resource",
}


def _template_pattern(template: str) -> re.Pattern[str]:
    """Return an expression for the URIs of an RFC 6570 template: every `{…}` stands for any text."""
    first, *rest = (re.escape(part) for part in _TEMPLATE_PART.split(template))
    # Atomic groups keep the match linear; the last literal must end the URI, so it may match late.
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    end = f".*{rest[-1]}" if rest else ""
    return re.compile(first + middle + end + r"\Z", re.DOTALL)


@dataclass(slots=True)
class Catalogue:
    """What an upstream lists, by kind: name -> definition. A kind that is absent was never listed.

    Shared between snapshots of one process: what passes through is added at once, the database follows.
    """

    names: dict[str, dict[str, Any]] = field(default_factory=dict)
    templates: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def build(cls, names: dict[str, dict[str, Any]]) -> Catalogue:
        """Build a catalogue from names by kind (tool, prompt, resource, template)."""
        return cls(names, tuple(_template_pattern(name) for name in names.get("template", {})))

    def learn(self, kind: str, items: dict[str, Any], complete: bool) -> None:
        """Take in a list that passed through; `complete` lists replace what was known of the kind."""
        if complete:
            self.names[kind] = items
        else:
            self.names[kind] = {**self.names.get(kind, {}), **items}
        if kind == "template":
            self.templates = tuple(_template_pattern(name) for name in self.names["template"])

    def knows(self, kind: str, name: str) -> bool:
        """Return whether the upstream is known to have `name`; a resource also by a template."""
        if name in self.names.get(kind, ()):
            return True
        return kind == "resource" and any(pattern.match(name) for pattern in self.templates)


class View:
    """What one key sees of one namespace."""

    __slots__ = ("_chains", "catalogue", "restricted", "restricts", "rules")

    def __init__(self, namespace: RuleSet, grant: RuleSet | None, catalogue: Catalogue) -> None:
        self.rules = sets = (namespace,) if grant is None else (namespace, grant)
        self._chains: dict[str, tuple[NameRule, ...]] = {
            kind: tuple(rule for rule in (getattr(rules, f"{kind}s") for rules in sets) if rule.restricts)
            for kind in ("tool", "prompt", "resource")
        }
        self._chains["template"] = self._chains["resource"]
        self.restricts = {kind: bool(chain) for kind, chain in self._chains.items()}
        self.restricted = any(self.restricts.values())
        self.catalogue = catalogue

    def allows(self, kind: str, name: str) -> bool:
        """Return whether every rule lets the name through, taken to the letter."""
        for rule in self._chains[kind]:  # noqa: SIM110 - a generator costs more than the rules
            if not rule.allows(name):
                return False
        return True

    def hides_all(self, kind: str) -> bool:
        """Return whether nothing of this kind can ever pass."""
        return any(rule.mode == "none" for rule in self._chains[kind])


def target(message: Message) -> tuple[str, str] | None:
    """Return (kind, name) of what a request acts on; None for a request that names nothing."""
    kind = KIND_OF.get(message.method)
    if kind is not None:
        return (kind, message.name) if message.name is not None else None
    if message.method == "completion/complete":
        reference = message.params.get("ref")
        if isinstance(reference, dict):
            if reference.get("type") == "ref/prompt" and isinstance(reference.get("name"), str):
                return "prompt", reference["name"]
            if reference.get("type") == "ref/resource" and isinstance(reference.get("uri"), str):
                uri: str = reference["uri"]
                return ("template" if "{" in uri else "resource"), uri
        raise Invalid("params.ref must name a prompt or a resource.", reason="params_invalid", code=INVALID_PARAMS)
    return None


def authorise(view: View, message: Message, modern: bool) -> tuple[str, str] | None:
    """Decide a message under a view that restricts something.

    Returns (kind, name) when the rules let the name through but the upstream is not known to have it: the
    caller then looks at the upstream's list and asks `unknown` for the answer. Raises Denied for what the rules
    hide, Invalid for a method that could reach around them.
    """
    found = target(message)
    if found is None:
        if message.method == "subscriptions/listen":
            _authorise_listen(view, message, modern)
        elif message.kind == "request" and message.method not in REQUEST_METHODS:
            status = 404 if modern else 400
            raise Invalid("Method not found", reason="method_unknown", code=METHOD_NOT_FOUND, status=status)
    if found is None or not view.restricts[found[0]]:
        return None
    kind, name = found
    if not view.allows(kind, name):
        raise unknown(kind, name, modern)
    return None if view.catalogue.knows(kind, name) else found


def _authorise_listen(view: View, message: Message, modern: bool) -> None:
    wanted = message.params.get("notifications")
    uris = wanted.get("resourceSubscriptions") if isinstance(wanted, dict) else None
    if not isinstance(uris, list) or not view.restricts["resource"]:
        return
    for uri in uris:
        if not isinstance(uri, str) or not view.allows("resource", uri):
            raise unknown("resource", str(uri)[:200], modern)


def unknown(kind: str, name: str, modern: bool, reason: str | None = None) -> Denied:
    """Return the answer for a name outside the effective set, worded like that for a name that does not exist."""
    if kind == "tool":
        return Denied(f"Unknown tool: {name[:200]}", reason=reason or "tool_denied")
    if kind == "prompt":
        return Denied(f"Unknown prompt: {name[:200]}", reason=reason or "prompt_denied")
    code = INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
    return Denied(f"Resource not found: {name[:200]}", reason=reason or "resource_denied", code=code)
