"""A text column whose value is encrypted at rest and never shows itself by accident."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class UndecryptableError(ValueError):
    """None of the configured encryption keys opens this value; restore the key that wrote it, or enter it anew."""


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        raise ImproperlyConfigured(
            "GATEWAY_ENCRYPTION_KEYS holds a value that is no Fernet key (32 bytes, URL-safe base64)."
        ) from None


def cipher() -> MultiFernet:
    """Return the cipher of the configured key list: the first key encrypts, every key decrypts."""
    return _cipher(tuple(settings.ENCRYPTION_KEYS))


class Sealed:
    """An encrypted value as it lies in the database; `reveal` opens it, printing it does not."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    @classmethod
    def seal(cls, plaintext: str) -> Sealed:
        """Encrypt `plaintext` with the first configured key."""
        return cls(cipher().encrypt(plaintext.encode()).decode())

    def reveal(self) -> str:
        """Return the plaintext. Raises UndecryptableError when no configured key opens it."""
        try:
            return cipher().decrypt(self.token.encode()).decode()
        except InvalidToken:
            raise UndecryptableError(str(UndecryptableError.__doc__)) from None

    def rotate(self) -> Sealed:
        """Return the same secret encrypted with the first configured key."""
        try:
            return Sealed(cipher().rotate(self.token.encode()).decode())
        except InvalidToken:
            raise UndecryptableError(str(UndecryptableError.__doc__)) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.token == self.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __bool__(self) -> bool:
        return bool(self.token)

    def __repr__(self) -> str:
        return "Sealed(••••)"

    __str__ = __repr__


if TYPE_CHECKING:
    # What may be assigned, and what the attribute yields.
    _SealedText = models.TextField[str | Sealed, Sealed]
else:
    _SealedText = models.TextField


class EncryptedTextField(_SealedText):
    """Takes plain text (encrypted on the way in) or a `Sealed` value (kept as it is); yields `Sealed`."""

    def from_db_value(self, value: str | None, *_: Any) -> Sealed | None:
        return None if value is None else Sealed(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, Sealed):
            return value.token if value else value
        return Sealed.seal(str(value)).token

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = getattr(model_instance, self.attname)
        if isinstance(value, str):
            value = Sealed.seal(value)
            setattr(model_instance, self.attname, value)
        return value

    def value_to_string(self, obj: models.Model) -> str:
        """Return what serialisers may show: never the secret."""
        return "••••"
