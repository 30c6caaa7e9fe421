"""Whose calls a caller of the analytics may see: everybody's, a team's, or its own."""

from __future__ import annotations

from dataclasses import dataclass

from keys.authentication import KeyPrincipal, namespaces_for


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls somebody may see; both restrictions hold together, and None is no restriction.

    `namespaces` are slugs, `user_ids` the users of API keys. An empty tuple is nothing at all.
    """

    namespaces: tuple[str, ...] | None = None
    user_ids: tuple[str, ...] | None = None
    sees_addresses: bool = False


def scope_of(caller: object, *, mine: bool = False) -> Scope:
    """Return what the caller (a key's principal or a signed-in account) may see.

    Args: mine: only the caller's own calls, whatever else it may see.
    """
    if not isinstance(caller, KeyPrincipal):
        return Scope(sees_addresses=True)
    if caller.key.all_namespaces:
        return Scope(user_ids=(caller.user_id,))
    return Scope(tuple(namespaces_for(caller).values_list("slug", flat=True)), (caller.user_id,))
