"""Writes the whole configuration as a file that `import_config` takes back: every field, no plain secret."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path as FilePath
from typing import Any

import yaml
from django.db import connection, transaction

from gateway_project.configuration.key_names import digest_of
from gateway_project.configuration.schema import FORMAT_VERSION
from gateway_project.configuration.servers import KINDS, TIMEOUTS, WHOLE_NUMBERS
from keys.call_rule import CallRule
from keys.models import ApiKey, Grant, Limits, Quarantine, Quota, RateLimit, Team
from keys.redaction import redact
from namespaces.address_columns import Addresses
from namespaces.models import Namespace, Upstream, UpstreamCredential
from namespaces.rule_columns import Rules

HEADER = """\
# The gateway's configuration; `manage.py import_config` reads it. A `${VARIABLE}` is taken from the environment.
# API keys stand here as digests, which only an installation with the same GATEWAY_KEY_PEPPER understands.
"""


class Exporter:
    """Collects the configuration. `notes` tells what the file cannot hold and what to look at."""

    def __init__(self, with_secrets: bool = False) -> None:
        self.notes: list[str] = []
        self._with_secrets = with_secrets
        self._variables: set[str] = set()

    def text(self) -> str:
        """Return the configuration as YAML."""
        tree = _escaped(self.tree())
        return HEADER + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)

    def tree(self) -> dict[str, Any]:
        """Return the configuration as plain values, read at one moment."""
        outermost = not connection.in_atomic_block
        with transaction.atomic():
            if outermost:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            upstreams = Upstream.objects.prefetch_related("credentials").order_by("slug")
            namespaces = Namespace.objects.select_related("mount__upstream").order_by("slug")
            teams = Team.objects.prefetch_related("memberships__account", "namespaces__namespace").order_by("slug")
            limits = RateLimit.objects.select_related("namespace", "key").prefetch_related("key__secrets")
            quotas = Quota.objects.select_related("namespace", "team", "key").prefetch_related("key__secrets")
            quarantines = Quarantine.objects.select_related("namespace", "upstream").prefetch_related("key__secrets")
            keys = ApiKey.objects.select_related("team", "owner").prefetch_related("secrets", "grants__namespace")
            return {
                "version": FORMAT_VERSION,
                "upstreams": {row.slug: self._upstream(row) for row in upstreams},
                "namespaces": {row.slug: _namespace(row) for row in namespaces},
                "teams": {row.slug: _team(row) for row in teams},
                "limits": {row.slug: _limit(row) for row in limits if self._names_its_key(row, "limit")},
                "quotas": {row.slug: _quota(row) for row in quotas if self._names_its_key(row, "quota")},
                "keys": sorted(
                    (entry for row in keys if (entry := self._key(row))),
                    key=lambda entry: (entry["user_id"], entry["description"], entry["secrets"][0]["digest"]),
                ),
                "quarantines": sorted((entry for row in quarantines if (entry := self._quarantine(row))), key=str),
            }

    def _names_its_key(self, row: CallRule, kind: str) -> bool:
        """Return whether the file can say which key a rule is for; without it the rule would be for every key."""
        if row.key is None or digest_of(row.key):
            return True
        self.notes.append(f"The {kind} {row.slug} was left out with API key {row.key}.")
        return False

    def _quarantine(self, row: Quarantine) -> dict[str, Any] | None:
        digest = digest_of(row.key) if row.key else None
        if row.key and not digest:
            self.notes.append(f"The quarantine of {row.key} was left out with the key.")
            return None
        links = {"namespace": row.namespace, "upstream": row.upstream}
        named = {
            "digest": digest,
            "user_id": row.user_id,
            "tool": row.tool,
            **{name: link.slug if link else None for name, link in links.items()},
        }
        return {
            "scope": row.scope,
            **{name: value for name, value in named.items() if value},
            "reason": row.reason,
            "ends_at": _moment(row.ends_at),
        }

    def _upstream(self, row: Upstream) -> dict[str, Any]:
        if redact(row.url) != row.url:
            self.notes.append(f"upstreams.{row.slug}.url seems to hold a secret, and the file holds it too.")
        timeouts = {name: getattr(row, column) for name, column in TIMEOUTS.items()}
        return {
            "url": row.url,
            "description": row.description,
            "transport": row.transport,
            "era": row.era,
            "timeouts": {name: value for name, value in timeouts.items() if value is not None},
            **{name: getattr(row, name) for name in WHOLE_NUMBERS},
            "health_interval": row.health_interval_s,
            "queue_wait": row.queue_wait_s,
            "circuit_breaker_timeout": row.circuit_breaker_timeout,
            "trust_annotations": row.trust_annotations,
            "tags": list(row.tags),
            "enabled": row.enabled,
            "credentials": {one.header: self._credential(row, one) for one in row.credentials.all()},
        }

    def _credential(self, upstream: Upstream, credential: UpstreamCredential) -> Any:
        if self._with_secrets:
            return {"sealed": credential.value.token}
        stem = re.sub(r"[^A-Z0-9]", "_", f"UPSTREAM_{upstream.slug}_{credential.header}".upper())
        name, count = stem, 1
        while name in self._variables:
            count += 1
            name = f"{stem}_{count}"
        self._variables.add(name)
        self.notes.append(f"upstreams.{upstream.slug}.credentials.{credential.header}: set {name} before an import.")
        return _Reference(f"${{{name}}}")

    def _key(self, row: ApiKey) -> dict[str, Any] | None:
        secrets = sorted(row.secrets.all(), key=lambda one: bytes(one.digest))
        if not secrets:
            self.notes.append(f"API key {row} has no secret, so nothing could recognise it again; it was left out.")
            return None
        return {
            "user_id": row.user_id,
            "description": row.description,
            "team": row.team.slug if row.team else None,
            "owner": row.owner.get_username() if row.owner else None,
            "sees": row.sees,
            "all_namespaces": row.all_namespaces,
            "addresses": _addresses(row),
            "expires_at": _moment(row.expires_at),
            "revoked_at": _moment(row.revoked_at),
            **_limits(row),
            "max_concurrency": row.max_concurrency,
            "secrets": [
                {
                    "digest": bytes(one.digest).hex(),
                    "pepper": one.pepper,
                    "prefix": one.prefix,
                    "expires_at": _moment(one.expires_at),
                }
                for one in secrets
            ],
            "grants": {one.namespace.slug: _grant(one) for one in _sorted(row)},
        }


class _Reference(str):
    """Text whose `${…}` is meant as a reference."""


def _escaped(value: Any) -> Any:
    """Return `value` with each `${` that is no reference written as `$${`, in values only."""
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, _Reference):
        return str(value)
    return value.replace("${", "$${") if isinstance(value, str) else value


def _sorted(row: ApiKey) -> list[Grant]:
    return sorted(row.grants.all(), key=lambda grant: grant.namespace.slug)


def _namespace(row: Namespace) -> dict[str, Any]:
    mount = getattr(row, "mount", None)
    return {
        "upstream": mount.upstream.slug if mount else None,
        "description": row.description,
        "enabled": row.enabled,
        "addresses": _addresses(row),
        "identical_calls": row.identical_calls,
        "identical_window": row.identical_window_s,
        "progress_extends_total": row.progress_extends_total,
        **_rules(row),
    }


def _team(row: Team) -> dict[str, Any]:
    return {
        "name": row.name,
        "description": row.description,
        "members": dict(sorted((one.account.get_username(), one.role) for one in row.memberships.all())),
        "namespaces": sorted(one.namespace.slug for one in row.namespaces.all()),
    }


def _grant(row: Grant) -> dict[str, Any]:
    return {**_rules(row), **_limits(row)}


def _rules(row: Rules) -> dict[str, Any]:
    found = {}
    for kind in KINDS:
        rule = {part: getattr(row, f"{kind}_{part}") for part in ("mode", "listed", "denied")}
        found[kind] = {part: value for part, value in rule.items() if value}
    return found


def _addresses(row: Addresses) -> dict[str, Any]:
    return {"mode": row.addresses_mode, "listed": list(row.addresses_listed)}


def _limits(row: Limits) -> dict[str, Any]:
    return {"requests_per_minute": row.requests_per_minute, "burst": row.burst, "algorithm": row.algorithm}


def _limit(row: RateLimit) -> dict[str, Any]:
    return {
        "description": row.description,
        "namespace": row.namespace.slug if row.namespace else None,
        "tools": list(row.tools),
        "user_id": row.user_id,
        "digest": digest_of(row.key) if row.key else None,
        "counted": row.counted,
        "requests": row.requests,
        "window": row.window_s,
        "burst": row.burst,
        "algorithm": row.algorithm,
        "enabled": row.enabled,
    }


def _quota(row: Quota) -> dict[str, Any]:
    return {
        "description": row.description,
        "namespace": row.namespace.slug if row.namespace else None,
        "tools": list(row.tools),
        "user_id": row.user_id,
        "digest": digest_of(row.key) if row.key else None,
        "team": row.team.slug if row.team else None,
        "counted": row.counted,
        "measure": row.measure,
        "period": row.period,
        "amount": row.amount,
        "warn_percent": row.warn_percent,
        "hard": row.hard,
        "enabled": row.enabled,
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def write_private(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path`, readable by its owner only, all of it or nothing. Raises OSError."""
    place = FilePath(path)
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
