"""Who watches: a signed-in account or a key, asked again and again whether it still may. Blocking; runs in a thread."""

from __future__ import annotations

from typing import Protocol

from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from keys.authentication import KeyPrincipal, find_key
from keys.models import ApiKey
from keys.visibility import Scope, scope_of


class LiveCaller(Protocol):
    """Somebody who proved who they are when the socket was opened."""

    name: str

    def scope(self, *, mine: bool) -> Scope | None:
        """Return what may be seen at this moment, or None when the caller is no longer let in."""
        ...


class AccountCaller:
    """A signed-in account, by its session: it ends with signing out, a changed password, or a disabled account."""

    def __init__(self, name: str, session_key: str) -> None:
        self.name = name
        self._session_key = session_key

    def scope(self, *, mine: bool) -> Scope | None:
        """Read session and account from the database, as a page's request would."""
        request = HttpRequest()
        request.session = SessionStore(self._session_key)
        account = get_user(request)
        if not account.is_authenticated or not account.is_active:
            return None
        return scope_of(account, mine=mine)


class KeyCaller:
    """The bearer of an API key: it ends with the key's, or this secret's, expiry or revocation.

    It ends, too, when the key may no longer be used from the bearer's address.
    """

    def __init__(self, plaintext: str, address: str | None = None) -> None:
        self._plaintext = plaintext
        self._address = address
        self.name = "key"

    def key(self) -> ApiKey | None:
        """Return the key if it may be used now, and from here."""
        key = find_key(self._plaintext)
        return key if key is not None and key.allows_address(self._address) else None

    def scope(self, *, mine: bool) -> Scope | None:
        """Look the key up. The first time this says who is calling."""
        key = self.key()
        if key is None:
            return None
        self.name = f"key:{key.pk}"
        return scope_of(KeyPrincipal(key), mine=mine)
