"""Whole weeks, months and quarters up to last midnight, added up once a day, for questions with many names."""

from django.db import migrations

# A trail is one sum of the last 6, 29 or 89 complete days of a cut: with the day that began before it, and today's
# hours, it answers for 7, 30 or 90 days without reading each day's rows. `at` is its first day; what it covers, and
# whether a late row has made it wrong, stands in analytics_trail.
TRAILS = """
CREATE TABLE analytics_rollup_trail (LIKE analytics_rollup_day INCLUDING GENERATED);
CREATE INDEX rollup_trail_cut ON analytics_rollup_trail (cut, at);
CREATE INDEX rollup_trail_user ON analytics_rollup_trail (user_id, cut, at) WHERE user_id IS NOT NULL;
CREATE INDEX rollup_trail_tool ON analytics_rollup_trail (tool, cut, at) WHERE tool IS NOT NULL;
CREATE INDEX rollup_trail_key ON analytics_rollup_trail (key_id, cut, at) WHERE key_id IS NOT NULL;
CREATE INDEX rollup_day_key ON analytics_rollup_day (key_id, cut, at) WHERE key_id IS NOT NULL;
CREATE INDEX rollup_hour_key ON analytics_rollup_hour (key_id, cut, at) WHERE key_id IS NOT NULL;
CREATE TABLE analytics_trail (
    cut smallint NOT NULL,
    days smallint NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    is_exact boolean NOT NULL DEFAULT true,
    built_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (cut, days)
);
"""


class Migration(migrations.Migration):
    """Made in SQL, like the tables that it adds up."""

    dependencies = [("analytics", "0003_stages")]

    operations = [
        migrations.RunSQL(
            TRAILS,
            "DROP TABLE analytics_rollup_trail, analytics_trail; DROP INDEX rollup_day_key, rollup_hour_key",
        )
    ]
