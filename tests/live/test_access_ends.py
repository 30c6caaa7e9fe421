"""Who signs out or is disabled sees nothing more within fifteen seconds; keys end within two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.gateway import Gateway
from tests.live.client import Live, People
from tests.live.conftest import KEYS

FLOOR_S = 15.0
ENDS = {
    "signed out": "DELETE FROM django_session WHERE session_key = %s",
    "session expired": "UPDATE django_session SET expire_date = now() - interval '1 s' WHERE session_key = %s",
}
OF_ACCOUNT = {
    "disabled": "UPDATE auth_user SET is_active = false WHERE username = %s",
    "another password": "UPDATE auth_user SET password = 'md5$x$y' WHERE username = %s",
    "deleted": "DELETE FROM auth_user WHERE username = %s",
}


async def _closed_in_time(view: Live, begun: float) -> None:
    assert await view.closed(FLOOR_S) == (4401, "signed_out")
    assert view.messages[-1]["reason"] == "signed_out"
    print(f"closed after {time.monotonic() - begun:.1f} s")


async def test_an_end_of_access_closes_the_socket(live: Gateway, people: People, call: Callable[..., str]) -> None:
    """All at once, since each takes up to ten seconds: two sessions end, and so does a key."""
    sessions = {name: people.sessions[name] for name in ("nobody", "ann")}
    views = [await Live.open(live, session) for session in sessions.values()]
    by_key = await Live.open(live, key=KEYS["carol"])
    stays = await (await Live.open(live, people.sessions["root"])).listening()
    begun = time.monotonic()
    for statement, session in zip(ENDS.values(), sessions.values(), strict=True):
        live.query(statement, session)
    live.query("UPDATE keys_apikey SET revoked_at = now() WHERE user_id = 'carol'")
    await asyncio.gather(*(_closed_in_time(view, begun) for view in (*views, by_key)))
    await asyncio.to_thread(call)
    await stays.row(user_id="alice")
    await stays.close()


@pytest.mark.parametrize(
    "change",
    ["revoked_at = now()", "addresses_mode = 'listed', addresses_listed = '{192.0.2.0/24}'"],
    ids=["revoked", "elsewhere"],
)
async def test_a_key_that_no_longer_works_here_ends_its_views_within_two_seconds(live: Gateway, change: str) -> None:
    """Several views, so that both workers have some; another key's stays."""
    live.query("UPDATE keys_apikey SET revoked_at = NULL WHERE user_id IN ('alice', 'bob')")
    stays = await Live.open(live, key=KEYS["alice"])
    views = [await Live.open(live, key=KEYS["bob"]) for _ in range(5)]
    for view in (*views, stays):
        await view.until(lambda message: message.get("feed") == "listening")
    begun = time.monotonic()
    live.query(f"UPDATE keys_apikey SET {change} WHERE user_id = 'bob'")
    ends = await asyncio.gather(*(view.closed(2) for view in views))
    print(f"closed after {time.monotonic() - begun:.2f} s")
    assert set(ends) == {(4401, "signed_out")}
    assert await stays.rows_within(0.5) == []  # and is not closed
    await stays.close()
    live.query("UPDATE keys_apikey SET revoked_at = NULL, addresses_mode = 'all' WHERE user_id = 'bob'")


@pytest.mark.parametrize("end", OF_ACCOUNT)
async def test_an_end_of_the_account_closes_the_socket(live: Gateway, end: str) -> None:
    name = end.replace(" ", "")
    session = People.made(live, {name: "superuser"}).sessions[name]
    view = await Live.open(live, session)
    await view.until(lambda message: message.get("feed") == "listening")
    begun = time.monotonic()
    live.query(OF_ACCOUNT[end], name)
    await _closed_in_time(view, begun)


async def test_a_lost_role_narrows_what_is_seen(live: Gateway, call: Callable[..., str]) -> None:
    """An auditor of the namespace becomes a member: the socket stays open, and others' calls no longer come."""
    people = People.made(live, {"auditor": "auditor", "root": "superuser"})
    auditor = await Live.open(live, people.sessions["auditor"])
    root = await (await Live.open(live, people.sessions["root"])).listening()
    await asyncio.to_thread(call)
    await auditor.row(user_id="alice", client_address="127.0.0.1")
    live.query(
        "UPDATE keys_membership SET role = 'member'"
        " WHERE account_id = (SELECT id FROM auth_user WHERE username = 'auditor')"
    )
    await asyncio.sleep(11)
    auditor.rows.clear()
    await asyncio.to_thread(call)
    await root.row(user_id="alice")
    assert await auditor.rows_within(1) == []
    await auditor.close()
    await root.close()
