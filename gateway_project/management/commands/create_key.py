"""`create_key --user U`: issue an API key; the key stands alone on the last line of the output."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pghistory
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from gateway_project.configuration.moments import parse_expiry
from keys.models import ApiKey, Grant
from namespaces.models import Namespace
from namespaces.rule_columns import Mode


class Command(BaseCommand):
    """Issue an API key."""

    help = "Issue an API key and print it, once, alone on the last line. Everything else goes to standard error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="who calls with the key; the name that analytics show")
        parser.add_argument(
            "--namespace",
            nargs="+",
            action="extend",
            default=[],
            metavar="NS",
            help="the namespaces that the key reaches; all of them, present and future, when none is named",
        )
        parser.add_argument(
            "--tool",
            nargs="+",
            action="extend",
            default=[],
            metavar="GLOB",
            help="the only tools that the key may use in those namespaces (quote wildcards); needs --namespace",
        )
        parser.add_argument("--rpm", type=int, metavar="N", help="calls a minute; without it, no limit")
        parser.add_argument("--burst", type=int, metavar="N", help="how many calls may come at once; needs --rpm")
        parser.add_argument("--expires", metavar="WHEN", help="30d, 12h, or a date or time such as 2027-01-31 (UTC)")
        parser.add_argument("--description", default="", help="what the key is for")

    def handle(self, *_: Any, **options: Any) -> None:
        slugs: list[str] = list(dict.fromkeys(options["namespace"]))
        if options["tool"] and not slugs:
            raise CommandError("--tool narrows the access to namespaces; name them with --namespace as well.")
        if options["burst"] is not None and options["rpm"] is None:
            raise CommandError("--burst belongs to a limit; give --rpm as well.")
        key = ApiKey(
            user_id=options["user"].strip(),
            description=options["description"],
            all_namespaces=not slugs,
            requests_per_minute=options["rpm"],
            burst=options["burst"],
            expires_at=_expiry(options["expires"]),
            created_by="create_key",
        )
        _validate(key)
        with transaction.atomic(), pghistory.context(user=None, source="create_key"):
            namespaces = self._namespaces(slugs)
            key.save()
            for namespace in namespaces:
                grant = Grant(key=key, namespace=namespace, **_rules(options["tool"]))
                _validate(grant)
                grant.save()
            plaintext = key.issue()
        reach = f"the namespaces {', '.join(slugs)}" if slugs else "every namespace, present and future"
        until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "for ever"
        self.stderr.write(f"A key for {key.user_id}: reaches {reach}, {until}. It is shown only now:")
        self.stderr.flush()
        self.stdout.write(plaintext)

    def _namespaces(self, slugs: list[str]) -> list[Namespace]:
        found = {row.slug: row for row in Namespace.objects.filter(slug__in=slugs)}
        if missing := [slug for slug in slugs if slug not in found]:
            there = ", ".join(Namespace.objects.values_list("slug", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no namespace {', '.join(missing)}. There are: {there}.")
        return [found[slug] for slug in slugs]


def _rules(tools: list[str]) -> dict[str, Any]:
    """Return the rules of a grant. A list of tools means to narrow, so prompts and resources are closed with it."""
    if not tools:
        return {}
    closed = {"prompts_mode": Mode.NONE, "resources_mode": Mode.NONE}
    return {"tools_mode": Mode.LISTED, "tools_listed": list(dict.fromkeys(tools)), **closed}


def _expiry(text: str | None) -> datetime | None:
    try:
        return parse_expiry(text.strip(), timezone.now()) if text is not None else None
    except ValueError as error:
        raise CommandError(f"--expires {text}: {error}.") from None


_FLAGS = {"user_id": "user", "requests_per_minute": "rpm", "tools_listed": "tool"}


def _validate(row: ApiKey | Grant) -> None:
    try:
        row.clean_fields(exclude=["key", "namespace"])
    except ValidationError as error:
        problems = [f"--{_FLAGS.get(name, name)}: {' '.join(texts)}" for name, texts in error.message_dict.items()]
        raise CommandError("\n".join(problems)) from None
