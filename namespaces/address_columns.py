"""From which addresses somebody may call: the columns that a namespace and a key share."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

from namespaces import networks
from namespaces.networks import Network

MAX_NETWORKS = 200


class AddressMode(models.TextChoices):
    """Whether the list of networks counts."""

    ALL = "all", "any address"
    LISTED = "listed", "only the networks listed"


def validate_networks(texts: Iterable[str]) -> None:
    """Raise ValidationError for what is no network, and for too many of them."""
    found = list(texts)
    if len(found) > MAX_NETWORKS:
        raise ValidationError(f"Write at most {MAX_NETWORKS} networks.")
    for text in found:
        try:
            networks.network(text)
        except ValueError as error:
            raise ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


class Addresses(models.Model):
    """The address columns. An empty list under `listed` lets nobody in."""

    addresses_mode = models.CharField(
        "callers come from",
        max_length=8,
        choices=AddressMode.choices,
        default=AddressMode.ALL,
        help_text="With “only the networks listed”, an empty list lets nobody in.",
    )
    addresses_listed = ArrayField(
        models.CharField(max_length=64),
        verbose_name="listed networks",
        default=list,
        blank=True,
        validators=[validate_networks],
        help_text="Networks or single addresses, one a line: 192.0.2.0/24, 2001:db8::/32, 198.51.100.7.",
    )

    class Meta:
        abstract = True

    def networks(self) -> tuple[Network, ...] | None:
        """Return the networks that may call; None for any address."""
        return compiled(self.addresses_mode, self.addresses_listed)

    def allows_address(self, text: str | None) -> bool:
        """Return whether a peer's address may call; one that cannot be read may where any may."""
        allowed = self.networks()
        return allowed is None or networks.holds(allowed, networks.address(text))


def compiled(mode: str, listed: Iterable[str]) -> tuple[Network, ...] | None:
    """Return the columns as networks; what cannot be read (written past the forms) is left out and lets nobody in."""
    if mode == AddressMode.ALL:
        return None
    found = []
    for text in listed:
        try:
            found.append(networks.network(text))
        except ValueError:
            continue
    return tuple(found)


def address_constraint(table: str) -> models.CheckConstraint:
    """Return the check constraint for the mode of a table with addresses."""
    return models.CheckConstraint(
        name=f"{table}_addresses_mode", condition=models.Q(addresses_mode__in=AddressMode.values)
    )
