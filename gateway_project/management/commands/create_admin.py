"""`create_admin`: the first account for the admin pages, asked for or taken from the environment."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway_project.server import database


class Command(BaseCommand):
    """Make an administrator, or give one a new password."""

    help = (
        "Make an administrator; one that exists gets the new password. Asks for name and password, or takes them "
        "from GATEWAY_ADMIN_USERNAME and GATEWAY_ADMIN_PASSWORD."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", help="instead of GATEWAY_ADMIN_USERNAME; admin by default")

    def handle(self, *_: Any, **options: Any) -> None:
        database.migrate(self.stderr.write)
        username, password = self._credentials(options["username"])
        user_model = get_user_model()
        user = user_model.objects.filter(username=username).first()
        made = user is None
        if user is None:
            user = user_model(username=username)
        try:
            user_model.username.field.run_validators(username)
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        base = settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"
        done = "The administrator was made" if made else "The password was changed"
        self.stdout.write(f"{done}. Sign in as {username} at {base}/admin/")

    def _credentials(self, named: str | None) -> tuple[str, str]:
        """Return name and password, from flags and variables first, then from the person at the terminal."""
        username = named or os.environ.get("GATEWAY_ADMIN_USERNAME", "").strip()
        password = os.environ.get("GATEWAY_ADMIN_PASSWORD", "")
        if password:
            return username or "admin", password
        if not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask at: set GATEWAY_ADMIN_USERNAME and GATEWAY_ADMIN_PASSWORD.")
        try:
            username = username or input("User name [admin]: ").strip() or "admin"
            password = getpass("Password: ")
            if getpass("Password again: ") != password:
                raise CommandError("The two passwords differ; nothing was changed.")
        except (EOFError, KeyboardInterrupt):
            raise CommandError("Stopped; nothing was changed.") from None
        return username, password
