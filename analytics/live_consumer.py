"""One live socket: hello, then rows in batches, and the few messages that its caller may send."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.db import Error as DatabaseError

from analytics.live_caller import AccountCaller, LiveCaller
from analytics.live_feed import feed
from analytics.live_filters import FilterError, Gate, LiveFilter
from analytics.live_refusal import refuse
from analytics.live_viewer import MAX_WAITING, Viewer
from keys.visibility import Scope
from namespaces.strict_json import read_json

logger = logging.getLogger("gateway.live")

BATCH_S = 0.2
TICK_S = 1.0
CHECK_S = 10.0
# Rows stop where a check of the caller's rights should have come and has not.
TRUST_S = 15.0
MAX_MESSAGE_BYTES = 4096
# Messages of a client: so many at once, and so many a second in the long run.
BURST, MESSAGES_PER_S = 20, 2.0
MAX_COMPLAINTS = 5
# Close codes (RFC 6455 section 7.4; 4000 and above are ours).
POLICY, BROKEN, TRY_LATER, ACCESS_ENDED = 1008, 1011, 1013, 4401


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/live`. The scope has passed the door: Host and Origin hold, and a key, if one came, is in `live_caller`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.viewer = Viewer()
        self.asked = LiveFilter()
        self.allowed: Scope | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._complaints = 0
        self._allowance, self._refilled_at = float(BURST), time.monotonic()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the socket until it is closed; whatever the end, nothing of it stays behind."""
        try:
            await super().__call__(scope, receive, send)
        except OSError:
            pass  # the client left while something was being sent
        finally:
            feed.leave(self.viewer)
            for task in self._tasks:
                task.cancel()

    async def dispatch(self, message: Any) -> None:
        """Handle a message without Channels' look at database connections: this task has none, and a client that
        sends much shall not occupy the thread that has."""
        handlers = {
            "websocket.connect": self.websocket_connect,
            "websocket.receive": self.websocket_receive,
            "websocket.disconnect": self.websocket_disconnect,
        }
        await handlers[message["type"]](message)

    async def websocket_disconnect(self, message: Any) -> None:
        """End; `__call__` tidies up."""
        raise StopConsumer

    # Opening

    async def connect(self) -> None:
        """Let the caller in, or refuse the handshake."""
        caller = self.scope.get("live_caller") or self._account()
        if caller is None:
            await refuse(self.scope, self.base_send, 401, "signed_out", "Sign in, or send an API key.")
            return
        self.caller: LiveCaller = caller
        try:
            self.allowed = await self._look()
        except DatabaseError:
            await refuse(self.scope, self.base_send, 503, "database_away", "The database is away; try again later.")
            return
        if self.allowed is None:
            await refuse(self.scope, self.base_send, 401, "signed_out", "This sign-in or key has ended.")
            return
        if feed.viewers >= settings.LIVE_VIEWERS:
            await self.accept()
            await self._end(TRY_LATER, "too_many_viewers", "Too many live views are open; try again later.")
            return
        self._open_gate()
        feed.join(self.viewer)
        await self.accept()
        await self.send_json(self._hello())
        self.viewer.note_state()
        self._tasks = [asyncio.create_task(self._send_rows()), asyncio.create_task(self._keep_watch())]

    def _account(self) -> LiveCaller | None:
        account, session = self.scope.get("user"), self.scope.get("session")
        if account is None or not account.is_authenticated or session is None or not session.session_key:
            return None
        return AccountCaller(f"account:{account.pk}", session.session_key)

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "sees_everything": self.viewer.gate is not None and self.viewer.gate.sees_everything,
            "sees_addresses": self.viewer.gate is not None and self.viewer.gate.sees_addresses,
            "batch_ms": int(BATCH_S * 1000),
            "rows_kept": MAX_WAITING,
        }

    def _state(self) -> dict[str, Any]:
        viewer = self.viewer
        state = {
            "type": "state",
            "feed": viewer.feed_state,
            "paused": viewer.paused,
            "missed": viewer.missed,
            "filter": self.asked.as_message(),
        }
        if not viewer.paused:
            viewer.missed = 0
        return state

    # Rights

    async def _look(self) -> Scope | None:
        return await database_sync_to_async(self.caller.scope)(mine=self.asked.mine)

    def _open_gate(self, *, forget: bool = False) -> None:
        gate = None if self.allowed is None else Gate(self.allowed, self.asked)
        self.viewer.change(gate, time.monotonic() + TRUST_S, forget=forget)

    async def _review(self) -> bool:
        """Look again at what the caller may see; return whether that was possible. Ends the socket when it is over."""
        asked = self.asked
        try:
            allowed = await self._look()
        except DatabaseError as error:
            logger.debug("the rights of a live view could not be read: %s", type(error).__name__)
            return False
        if asked is not self.asked:
            return False  # another filter came meanwhile, and with it perhaps another view
        changed, self.allowed = allowed != self.allowed, allowed
        self._open_gate(forget=changed)
        if allowed is None:
            await self._end(ACCESS_ENDED, "signed_out", "This sign-in or key has ended.")
        return True

    # What goes on while it is open

    async def _send_rows(self) -> None:
        """Send what waits, at most five times a second. A slow reader holds up this task and nobody else."""
        viewer = self.viewer
        try:
            while True:
                await viewer.changed.wait()
                viewer.changed.clear()
                if viewer.state_changed:
                    viewer.state_changed = False
                    await self.send_json(self._state())
                if (message := viewer.take()) is not None:
                    await self.send(text_data=message.decode())
                await asyncio.sleep(BATCH_S)
        except OSError:
            pass  # the client left; the receiving side learns of it too

    async def _keep_watch(self) -> None:
        """Each second: say how much a pause has missed, and every ten look at the caller's rights again."""
        viewer, said = self.viewer, 0
        due = time.monotonic() + CHECK_S
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await viewer.feed_changed.wait()
                if viewer.paused and viewer.missed != said:
                    said = viewer.missed
                    viewer.note_state()
                if viewer.feed_changed.is_set():
                    viewer.feed_changed.clear()
                    due = time.monotonic()
                # While the database is away there are no rows, and nobody to ask.
                if viewer.feed_state == "listening" and time.monotonic() >= due and await self._review():
                    due = time.monotonic() + CHECK_S
        except OSError:
            pass
        except Exception:
            logger.exception("a live view failed")
            await self._end(BROKEN, "internal", "The live view failed; connect again.")

    async def _end(self, code: int, reason: str, message: str) -> None:
        """Send the reason and close."""
        self.viewer.change(None, 0.0, forget=True)
        feed.leave(self.viewer)
        try:
            await self.send_json({"type": "error", "reason": reason, "message": message})
            await self.close(code, reason)
        except OSError:
            pass

    # What the client sends

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """Read one message; complain about what cannot be understood, and close when that goes on."""
        if not self._may_speak():
            await self._complain("too_many_messages", f"At most {MESSAGES_PER_S:.0f} messages a second.")
            return
        if text_data is None:
            await self._complain("not_json", "Messages are JSON texts.")
            return
        body = text_data.encode("utf-8", "surrogatepass")
        if len(body) > MAX_MESSAGE_BYTES:
            await self._complain("too_large", f"A message may have {MAX_MESSAGE_BYTES} bytes.")
            return
        try:
            message = read_json(body)
        except ValueError:
            await self._complain("not_json", "Messages are JSON texts.")
            return
        await self._obey(message)

    async def _obey(self, message: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "filter":
            await self._filter(message)
        elif kind in ("pause", "resume") and len(message) == 1:
            if kind == "pause" and not self.viewer.paused:
                self.viewer.pause()
            self.viewer.paused = kind == "pause"
            self.viewer.note_state()
            self._complaints = 0
        else:
            await self._complain("unknown_message", "Known are: filter, pause, resume.")

    async def _filter(self, message: dict[str, Any]) -> None:
        try:
            asked = LiveFilter.parse(message)
        except FilterError as error:
            await self._complain("filter_invalid", str(error))
            return
        self._complaints = 0
        is_other_view = asked.mine != self.asked.mine
        self.asked = asked
        if is_other_view:
            self.viewer.change(None, 0.0, forget=True)
            if not await self._review():
                await self._end(TRY_LATER, "database_away", "Your rights cannot be read now; connect again.")
                return
        else:
            self._open_gate_as_trusted()
        self.viewer.note_state()

    def _open_gate_as_trusted(self) -> None:
        """Apply another filter to what the caller may see, without making the last check of it any younger."""
        gate = None if self.allowed is None else Gate(self.allowed, self.asked)
        self.viewer.change(gate, self.viewer.trusted_until, forget=True)

    def _may_speak(self) -> bool:
        now = time.monotonic()
        self._allowance = min(float(BURST), self._allowance + (now - self._refilled_at) * MESSAGES_PER_S)
        self._refilled_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    async def _complain(self, reason: str, message: str) -> None:
        self._complaints += 1
        if self._complaints > MAX_COMPLAINTS:
            await self._end(POLICY, reason, message)
        else:
            await self.send_json({"type": "error", "reason": reason, "message": message})
