"""Who administers the gateway is on the audit trail too: trackers on Django's own accounts, groups and rights."""

from __future__ import annotations

import pghistory
from django.contrib.auth.models import Group, User

# The columns whose change is an event. The password's is one as well, but no copy of it is kept.
_WATCHED = ("username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser")


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pghistory.AnyChange(*_WATCHED, "password")),
    pghistory.DeleteEvent(),
    fields=["id", *_WATCHED],
    model_name="AccountEvent",
)
class Account(User):
    """A person who may sign in."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "user"


@pghistory.track(pghistory.InsertEvent(), pghistory.DeleteEvent(), obj_field=None)
class Membership(User.groups.through):  # type: ignore[misc, name-defined]
    """A person's place in a group."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "membership"


@pghistory.track(pghistory.InsertEvent(), pghistory.DeleteEvent(), obj_field=None)
class PersonalRight(User.user_permissions.through):  # type: ignore[misc, name-defined]
    """A right that a person has without a group."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "personal right"


@pghistory.track(pghistory.InsertEvent(), pghistory.DeleteEvent(), obj_field=None)
class GroupRight(Group.permissions.through):  # type: ignore[misc, name-defined]
    """A right of a group's members."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "group right"
