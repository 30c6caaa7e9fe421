"""What `serve --demo` adds, once: an admin, the demo upstream, the namespace that mounts it, and a key."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pghistory
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from gateway_project.server import listener
from gateway_project.server.child import Child
from keys.models import ApiKey, Grant
from namespaces.models import Mount, Namespace, Upstream

SLUG = "demo"
_USER = "admin"
_CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "add", "arguments": {"a": 2, "b": 3}},
}


class Demo:
    """The demo of one data directory. What exists is kept: a second run makes nothing and changes no password."""

    def __init__(self, data_dir: Path, say: Callable[[str], None]) -> None:
        self.port_file = data_dir / "demo_port"
        self.say = say
        self.socket = self._bind()
        self.port_file.write_text(f"{self.socket.getsockname()[1]}\n")
        self.password: str | None = None
        self.key: str | None = None

    def make(self) -> None:
        """Make in the database what is missing."""
        with transaction.atomic(), pghistory.context(user=None, source="serve --demo"):
            self.upstream = self._upstream(f"http://127.0.0.1:{self.socket.getsockname()[1]}/mcp")
            self._admin()
            self._key(self._namespace())

    def environment(self) -> dict[str, str]:
        """Return the variables that let the gateway's processes reach the demo server on the loopback interface."""
        allowed = list(settings.UPSTREAM_ALLOW)
        if "127.0.0.0/8" not in allowed:
            allowed.append("127.0.0.1")
        settings.UPSTREAM_ALLOW = allowed
        return {"GATEWAY_UPSTREAM_ALLOW": ",".join(allowed)}

    def child(self) -> Child:
        """Return the demo server's process."""
        command = [sys.executable, "-m", "gateway_project.demo.server", "--fd", str(self.socket.fileno())]
        return Child("demo server", command, pass_fds=[self.socket.fileno()])

    def discover(self) -> None:
        """Fill the catalogue, so that the banner and the admin know the tools."""
        from namespaces import catalogue, probe

        self.upstream.refresh_from_db()
        catalogue.record(self.upstream, probe.probe_many([self.upstream])[0])

    def rows(self) -> list[tuple[str, str]]:
        """Return the banner's rows about signing in and calling."""
        rows = []
        if self.password is not None:
            rows.append(("Sign in", f"{_USER} / {self.password}   (shown only now)"))
        else:
            rows.append(("Sign in", f"as made earlier; a new password: {_command('changepassword', _USER)}"))
        if self.key is not None:
            rows.append(("Demo key", f"{self.key}   (shown only now)"))
        else:
            rows.append(("Demo key", f"as made earlier; another one: {_command(*_NEW_KEY)}"))
        return rows

    def try_it(self, base: str) -> list[str]:
        """Return a command to paste that calls a tool through the gateway."""
        key = self.key or f"$({_command(*_NEW_KEY)} 2>/dev/null)"
        return [
            "  Try it:",
            "",
            f'  curl -s {base}/mcp/{SLUG} -H "Authorization: Bearer {key}" -H "Content-Type: application/json" '
            f"-d '{json.dumps(_CALL, separators=(',', ':'))}'",
        ]

    def _bind(self) -> socket.socket:
        """Bind the port of the last run where it is still free, so that the upstream's URL stays."""
        try:
            return listener.bind("127.0.0.1", int(self.port_file.read_text()))
        except (OSError, ValueError, OverflowError, listener.CannotListen):
            return listener.bind("127.0.0.1", 0)

    def _upstream(self, url: str) -> Upstream:
        upstream, made = Upstream.objects.get_or_create(
            slug=SLUG, defaults={"url": url, "description": "The server that comes with the gateway, to try it out."}
        )
        if made:
            self.say("making the demo")
        elif upstream.url != url and upstream.url.startswith("http://127.0.0.1:"):
            upstream.url = url
            upstream.save(update_fields=["url", "updated_at"])
        return upstream

    def _namespace(self) -> Namespace:
        namespace, made = Namespace.objects.get_or_create(
            slug=SLUG, defaults={"description": "Four small tools to try the gateway with."}
        )
        if made:
            Mount.objects.create(namespace=namespace, upstream=self.upstream)
        return namespace

    def _admin(self) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        self.password = secrets.token_urlsafe(12)
        users.create_superuser(username=_USER, password=self.password)

    def _key(self, namespace: Namespace) -> None:
        if ApiKey.objects.filter(user_id=SLUG).exists():
            return
        key = ApiKey.objects.create(user_id=SLUG, description="Made by serve --demo.", created_by="serve --demo")
        Grant.objects.create(key=key, namespace=namespace)
        self.key = key.issue()


_NEW_KEY = ("create_key", "--user", SLUG, "--namespace", SLUG)


def _command(*words: str) -> str:
    """Return a management command as it can be pasted here."""
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable
    return " ".join([python, "manage.py", *words])
