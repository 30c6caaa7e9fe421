"""`rotate_encryption`: seal every encrypted value anew with the first of GATEWAY_ENCRYPTION_KEYS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction

from namespaces.fields import EncryptedTextField, Sealed, UndecryptableError


class Command(BaseCommand):
    """Seal every encrypted value with the present key."""

    help = (
        "Seal every encrypted value anew with the first of GATEWAY_ENCRYPTION_KEYS. Afterwards the other keys may go,"
        " once the sessions that they sealed have ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only count what is sealed with an older key")

    def handle(self, *_: Any, **options: Any) -> None:
        newest = Fernet(settings.ENCRYPTION_KEYS[0])
        older, lost = 0, []
        with transaction.atomic():
            for model, column in _columns():
                rows = model._default_manager.exclude(**{f"{column}__isnull": True}).order_by("pk")
                for row in rows if options["check"] else rows.select_for_update():
                    sealed: Sealed = getattr(row, column)
                    if not sealed or _opens(newest, sealed):
                        continue
                    try:
                        rotated = sealed.rotate()
                    except UndecryptableError:
                        lost.append(f"{model._meta.verbose_name} {row.pk} ({row})")
                        continue
                    older += 1
                    if not options["check"]:
                        # update(): nothing but the seal changes, so the row's own history stays as it is.
                        model._default_manager.filter(pk=row.pk).update(**{column: rotated})
        done = "sealed with an older key" if options["check"] else "sealed anew"
        self.stdout.write(f"{older} value{'' if older == 1 else 's'} {done}.")
        if lost:
            raise CommandError(
                "No configured key opens these, so they were left alone; add the key that sealed them to "
                f"GATEWAY_ENCRYPTION_KEYS, or enter the values anew: {', '.join(lost)}."
            )


def _columns() -> Iterator[tuple[type[models.Model], str]]:
    for model in apps.get_models():
        for column in model._meta.concrete_fields:
            if isinstance(column, EncryptedTextField):
                yield model, column.attname


def _opens(key: Fernet, sealed: Sealed) -> bool:
    try:
        key.decrypt(sealed.token.encode())
    except InvalidToken:
        return False
    return True
