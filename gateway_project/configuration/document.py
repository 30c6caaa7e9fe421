"""What a configuration file asks for, in the model's own terms: only the columns that the file states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from gateway_project.configuration.errors import Path
from keys import secrets
from namespaces.fields import Sealed

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UpstreamEntry:
    """An upstream. `credentials` is None when the file says nothing about them."""

    slug: str
    columns: Columns
    credentials: dict[str, Sealed] | None = None


@dataclass(frozen=True, slots=True)
class NamespaceEntry:
    """A namespace and the slug of the upstream that it mounts; none when that is empty."""

    slug: str
    columns: Columns
    upstream: str


@dataclass(frozen=True, slots=True)
class TeamEntry:
    """A team: the roles of its members by user name, and the slugs of its namespaces; None: the file does not say."""

    slug: str
    line: int
    columns: Columns
    members: dict[str, str] | None = None
    namespaces: list[str] | None = None


@dataclass(frozen=True, slots=True)
class LimitEntry:
    """A rate limit. `links`: the namespace by name (None: all of them), where the file says it.

    `digests`: how a secret of the key that it is for may be stored; () for every key, None where the file says nothing.
    """

    slug: str
    line: int
    columns: Columns
    links: dict[str, str | None] = field(default_factory=dict)
    digests: tuple[bytes, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class QuotaEntry:
    """A quota. `links`: namespace and team by name (None: all of them), where the file says them.

    `digests`: as those of a limit.
    """

    slug: str
    line: int
    columns: Columns
    links: dict[str, str | None] = field(default_factory=dict)
    digests: tuple[bytes, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """One secret of a key. `digests`: how it may be stored under each of our peppers; the first is written."""

    digests: tuple[bytes, ...] = field(repr=False)
    pepper: str
    prefix: str
    expires_at: datetime | None = None

    @classmethod
    def of(cls, key: str) -> SecretEntry:
        """Return the entry of an API key in plain text, which goes no further than here."""
        peppers = settings.KEY_PEPPERS
        digests = tuple(secrets.digest(key, pepper) for pepper in peppers)
        return cls(digests, secrets.pepper_id(peppers[0]), secrets.shown_prefix(key))


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """An API key, recognised by its secrets. `grants` is None when the file says nothing about them.

    `complete`: the file lists every secret of the key, as an export does, so that another one may be pruned.
    """

    path: str
    line: int
    columns: Columns
    secrets: tuple[SecretEntry, ...]
    grants: dict[str, Columns] | None = None
    complete: bool = False
    links: dict[str, str | None] = field(default_factory=dict)  # `team` and `owner` by name, where the file says them

    @property
    def label(self) -> str:
        """How messages name the key: its user and the beginning of its first secret."""
        return f"{self.columns['user_id']} ({self.secrets[0].prefix}…)"


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """What is stopped, and why. `digests`: how a secret of the key may be stored; namespace and upstream by slug."""

    path: str
    line: int
    columns: Columns
    digests: tuple[bytes, ...] = field(default=(), repr=False)
    namespace: str | None = None
    upstream: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in the file that names a namespace, an upstream, a team or an account, which must exist somewhere.

    `hidden`: the name came from a variable, so messages do not repeat it.
    """

    line: int
    path: Path
    kind: str
    slug: str
    hidden: bool = False


@dataclass(slots=True)
class Document:
    """Everything that a file asks for. `sections`: the kinds that it speaks of, which alone may be pruned."""

    upstreams: dict[str, UpstreamEntry] = field(default_factory=dict)
    namespaces: dict[str, NamespaceEntry] = field(default_factory=dict)
    teams: dict[str, TeamEntry] = field(default_factory=dict)
    limits: dict[str, LimitEntry] = field(default_factory=dict)
    quotas: dict[str, QuotaEntry] = field(default_factory=dict)
    keys: list[KeyEntry] = field(default_factory=list)
    quarantines: list[QuarantineEntry] = field(default_factory=list)
    sections: set[str] = field(default_factory=set)
    references: list[Reference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Known:
    """The names that are in the database already, so that a file may refer to them."""

    upstreams: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
