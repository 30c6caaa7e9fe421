"""Who calls the REST API: a client by its API key, or a signed-in member of staff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from keys import secrets
from keys.models import ApiKey, KeySecret
from keys.throttling import count_failure
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

        Raises AuthenticationFailed for a key that is unknown, revoked or expired, all alike.
        """
        presented = _presented(request)
        if not presented:
            return None
        if len(presented) > 1:
            raise AuthenticationFailed("Two different credentials in one request; send one of them.")
        key = find_key(presented.pop())
        if key is None:
            count_failure(request)
            raise AuthenticationFailed(
                "The API key is unknown, expired or revoked; ask an administrator for a new one."
            )
        return KeyPrincipal(key), None

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 says in WWW-Authenticate."""
        return CHALLENGE


def find_key(plaintext: str) -> ApiKey | None:
    """Return the active key that `plaintext` is a usable secret of, or None."""
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
    return found.key if found else None


def namespaces_for(caller: object) -> QuerySet[Namespace]:
    """Return the enabled namespaces that the caller (a principal, a Django user or None) may use."""
    enabled = Namespace.objects.filter(enabled=True)
    if isinstance(caller, KeyPrincipal):
        return enabled if caller.key.all_namespaces else enabled.filter(grants__key=caller.key)
    return enabled if getattr(caller, "is_staff", False) else enabled.none()


class IsKeyOrStaff(BasePermission):
    """Lets API keys and signed-in staff in; other accounts have no business with the REST API."""

    message = "This account is no member of staff; use an API key."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the caller is one of the two."""
        return isinstance(request.user, KeyPrincipal) or bool(getattr(request.user, "is_staff", False))


def _presented(request: Request | HttpRequest) -> set[str]:
    """Return the different keys that the request's headers carry."""
    presented = set()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        presented.add(token.strip())
    if "X-API-Key" in request.headers:
        presented.add(request.headers["X-API-Key"].strip())
    return presented
