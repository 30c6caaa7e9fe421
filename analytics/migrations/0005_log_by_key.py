"""Lets the latest calls and failures of a key be found without reading those of everybody."""

from django.db import migrations

CREATE = "CREATE INDEX requestlog_key ON analytics_requestlog (key_id, at) WHERE key_id IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [("analytics", "0004_trails")]

    operations = [migrations.RunSQL(CREATE, "DROP INDEX requestlog_key")]
