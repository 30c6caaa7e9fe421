"""Who calls the REST API: a client by its API key, or a person who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from keys import secrets
from keys.models import ApiKey, Grant, KeySecret, Quarantine, TeamNamespace
from namespaces.models import Namespace

if TYPE_CHECKING:  # REST framework imports this module while it is still importing its views
    from rest_framework.views import APIView

CHALLENGE = 'Bearer realm="mcp-gateway"'


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """A caller that proved itself with an API key; stands where Django expects a user."""

    key: ApiKey
    is_authenticated: bool = True
    is_staff: bool = False

    @property
    def user_id(self) -> str:
        """Whose key it is."""
        return self.key.user_id

    @property
    def throttle_key(self) -> str:
        """What the caller's requests are counted under."""
        return f"key:{self.key.pk}"


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>` or `X-API-Key: <key>` (RFC 6750 §2.1 for the former)."""

    def authenticate(self, request: Request) -> tuple[KeyPrincipal, None] | None:
        """Return the key's principal, or None when the request carries no key.

        Raises AuthenticationFailed for a key that is unknown, revoked or expired, all alike. Those are counted, with
        the wrong keys at /mcp, before Django (gateway_project.wrong_keys).
        """
        presented = _presented(request)
        if not presented:
            return None
        if len(presented) > 1:
            raise AuthenticationFailed("Two different credentials in one request; send one of them.")
        key = find_key(presented.pop())
        if key is None or not key.allows_address(request.META.get("REMOTE_ADDR")):
            raise AuthenticationFailed(
                "The API key is unknown, expired or revoked; ask an administrator for a new one."
            )
        return KeyPrincipal(key), None

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 says in WWW-Authenticate."""
        return CHALLENGE


def find_key(plaintext: str) -> ApiKey | None:
    """Return the active key that `plaintext` is a usable secret of, or None; a quarantined one is none."""
    if not secrets.is_well_formed(plaintext):
        return None
    now = timezone.now()
    digests = [secrets.digest(plaintext, pepper) for pepper in settings.KEY_PEPPERS]
    found = (
        KeySecret.objects.filter(digest__in=digests, key__revoked_at__isnull=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        .filter(Q(key__expires_at__isnull=True) | Q(key__expires_at__gt=now))
        .select_related("key")
        .first()
    )
    if found is None or Quarantine.objects.holds(found.key_id, found.key.user_id):
        return None
    return found.key


def live_keys() -> QuerySet[ApiKey]:
    """Return the keys that are neither revoked nor expired."""
    return ApiKey.objects.filter(revoked_at__isnull=True).filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    )


def sees_everything(account: User) -> bool:
    """Return whether an account may see every call: superusers, and staff with the right to view the request log."""
    return account.is_superuser or (account.is_staff and account.has_perm("analytics.view_requestlog"))


def namespaces_for(caller: object) -> QuerySet[Namespace]:
    """Return the enabled namespaces that the caller (a principal, a Django user or None) may use.

    For an account: those of its teams and those that its live keys reach; all of them for who sees everything.
    """
    enabled = Namespace.objects.filter(enabled=True)
    if isinstance(caller, KeyPrincipal):
        return enabled if caller.key.all_namespaces else enabled.filter(grants__key=caller.key)
    if not isinstance(caller, User) or not caller.is_active:
        return enabled.none()
    if sees_everything(caller):
        return enabled
    own = live_keys().filter(owner=caller)
    return enabled.filter(
        Q(pk__in=TeamNamespace.objects.filter(team__memberships__account=caller).values("namespace"))
        | Q(pk__in=Grant.objects.filter(key__in=own).order_by().values("namespace"))
        | Exists(own.filter(all_namespaces=True))
    )


class IsKeyOrAccount(BasePermission):
    """Lets API keys and signed-in accounts in; what each of them sees follows from its scope."""

    message = "This account is disabled."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the caller is one of the two."""
        caller = request.user
        return isinstance(caller, KeyPrincipal) or (isinstance(caller, User) and caller.is_active)


def _presented(request: Request | HttpRequest) -> set[str]:
    """Return the different keys that the request's headers carry."""
    presented = set()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        presented.add(token.strip())
    if "X-API-Key" in request.headers:
        presented.add(request.headers["X-API-Key"].strip())
    return presented
