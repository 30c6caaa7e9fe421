"""The triggers of configuration tables: what tells the workers of a change, and what keeps the audit trail."""

from __future__ import annotations

import time

import pghistory
import pgtrigger
from django.db import connection

CHANNEL = "gateway_configuration"  # the triggers name it too
UP_CHANNEL = "gateway_upstream_up"


def audited() -> tuple[pghistory.RowEvent, ...]:
    """Return the trackers of an audited model: row triggers see every path, psql and bulk updates included."""
    return pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent()


def notify_trigger() -> pgtrigger.Trigger:
    """Return the statement trigger that tells every worker about a change of configuration.

    A trigger and not a Django signal: `.update()`, psql and bulk imports count too. The appended row is
    the marker that workers poll when LISTEN is down; appending, unlike a version row, cannot deadlock.
    """
    return pgtrigger.Trigger(
        name="configuration_changed",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete | pgtrigger.Truncate,
        func=(
            "INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp());"
            " PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;"
        ),
    )


def announce_up(upstream_id: int) -> None:
    """Tell every worker, at commit, that a check found an upstream well. No change of configuration, so no trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [UP_CHANNEL, f"{upstream_id} {time.time_ns()}"])
