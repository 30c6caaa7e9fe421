"""Lets what is asked within some namespaces be added up without reading the rows of all others."""

from django.db import migrations

_GRAINS = ("hour", "day", "trail")
CREATE = "".join(
    f"CREATE INDEX rollup_{grain}_namespace ON analytics_rollup_{grain} (cut, namespace, at);" for grain in _GRAINS
)
DROP = "DROP INDEX " + ", ".join(f"rollup_{grain}_namespace" for grain in _GRAINS)


class Migration(migrations.Migration):
    """Not of minutes: they are asked for one hour at most, and are written all the time."""

    dependencies = [("analytics", "0005_log_by_key")]

    operations = [migrations.RunSQL(CREATE, DROP)]
