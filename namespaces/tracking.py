"""The triggers of configuration tables: what tells the workers of a change, and what keeps the audit trail."""

from __future__ import annotations

import pghistory
import pgtrigger


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
