"""A client of /ws/live, and the accounts that it signs in as."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.gateway import Gateway

_MAKE = """
import json
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from keys.models import ApiKey
from keys.team_models import Membership, Team, TeamNamespace
from namespaces.models import Namespace

team, is_new = Team.objects.get_or_create(slug="front")
if is_new:
    TeamNamespace.objects.create(team=team, namespace=Namespace.objects.get(slug="first"))
sessions = {}
for name, role in json.loads(ROLES).items():
    user, _ = User.objects.get_or_create(username=name, is_superuser=role == "superuser")
    if role in ("member", "auditor", "admin"):
        Membership.objects.get_or_create(team=team, account=user, role=role)
    ApiKey.objects.filter(user_id=name).update(owner=user)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    sessions[name] = session.session_key
print(json.dumps(sessions))
"""
# After which nothing is expected any more; what may take how long is measured by the tests that promise it.
PATIENCE_S = 20.0
EVERYBODY = {"root": "superuser", "alice": "member", "ann": "auditor", "nobody": ""}


@dataclass(frozen=True)
class People:
    """The sessions of a gateway's accounts, by name."""

    sessions: dict[str, str]

    @classmethod
    def made(cls, gateway: Gateway, roles: dict[str, str] = EVERYBODY) -> Self:
        """Make accounts that are missing, give them their roles in the team of namespace `first`, sign them in."""
        code = f"ROLES = {json.dumps(roles)!r}\n{_MAKE}"
        printed = gateway.manage("shell", "--verbosity", "0", "-c", code)
        return cls(json.loads(printed.strip().splitlines()[-1]))


class Live:
    """One live view as a page or a script has it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []

    @classmethod
    async def open(cls, gateway: Gateway, session: str | None = None, key: str | None = None, **options: Any) -> Self:
        """Connect and read the hello. Raises what websockets raises for a refused handshake."""
        live = cls(await dial(gateway, session, key, **options))
        assert (await live.read())["type"] == "hello"
        return live

    async def read(self, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the next message. Raises ConnectionClosed, TimeoutError."""
        async with asyncio.timeout(within_s):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        self.messages.append(message)
        if message["type"] == "rows":
            self.rows += message["rows"]
        return message

    async def until(self, condition: Any, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Read on until a message meets the condition, and return it."""
        deadline = time.monotonic() + within_s
        while True:
            message = await self.read(max(0.01, deadline - time.monotonic()))
            if condition(message):
                return message

    async def listening(self) -> Self:
        """Wait until rows can arrive: the worker listens, and the shipper has had time to see that it does."""
        await self.until(lambda message: message.get("feed") == "listening")
        await asyncio.sleep(1.2)
        return self

    async def rows_within(self, seconds: float) -> list[dict[str, Any]]:
        """Return the rows that arrive during so many seconds."""
        before, deadline = len(self.rows), time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                await self.read(left)
            except TimeoutError:
                break
        return self.rows[before:]

    async def row(self, within_s: float = PATIENCE_S, **values: Any) -> dict[str, Any]:
        """Read on until a row with these values is there, and return it."""

        def found(message: dict[str, Any]) -> bool:
            return any(values.items() <= row.items() for row in message.get("rows", ()))

        message = await self.until(found, within_s)
        return next(row for row in message["rows"] if values.items() <= row.items())

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps(message))

    async def filter(self, **fields: Any) -> dict[str, Any]:
        """Send a filter and return the state that confirms it."""
        await self.say(type="filter", **fields)
        wanted = {name: value for name, value in fields.items() if value not in (None, False, "")}
        return await self.until(lambda message: message.get("filter") == wanted or message["type"] == "error")

    async def closed(self, within_s: float = PATIENCE_S) -> tuple[int, str]:
        """Read to the end and return the close code and its reason."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    await self.read(within_s)
        except ConnectionClosed as end:
            assert end.rcvd is not None, "the connection ended without a close frame"
            return end.rcvd.code, end.rcvd.reason

    async def close(self) -> None:
        """Leave."""
        await self.socket.close()


async def dial(
    gateway: Gateway,
    session: str | None = None,
    key: str | None = None,
    *,
    origin: str | None = "same",
    headers: dict[str, str] | None = None,
    path: str = "/ws/live",
    **options: Any,
) -> ClientConnection:
    """Make the handshake as a page does that has this session, or a script that has this key."""
    sent = dict(headers or {})
    if session is not None:
        sent["Cookie"] = f"gateway_session={session}"
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
        origin = None if origin == "same" else origin
    said = gateway.base if origin == "same" else origin
    return await connect(
        f"ws://127.0.0.1:{gateway.port}{path}",
        additional_headers=sent,
        origin=said,  # type: ignore[arg-type]
        proxy=None,
        compression=None,
        **options,
    )
