"""The roll-ups: the log added up by minute, hour and day, and what `maintain` notes about them."""

from django.db import migrations

# One table a grain, each partitioned by time so that retention drops partitions. `cut` says which question a row
# answers and so which of the name columns it fills; the others are NULL and take no room. Outcomes other than `ok`
# have a column each, NULL for none, and `errors` is their sum. `latency` holds one number a histogram bin: bin << 48 | calls.
GRAIN = """
CREATE TABLE analytics_rollup_{grain} (
    at timestamptz NOT NULL,
    cut smallint NOT NULL,
    tool_error integer,
    key_id bigint,
    calls bigint NOT NULL,
    total_us bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    rpc_error integer,
    denied integer,
    limited integer,
    unauthenticated integer,
    invalid integer,
    upstream_error integer,
    timeout integer,
    client_gone integer,
    unavailable integer,
    errors bigint GENERATED ALWAYS AS (
        coalesce(tool_error, 0)::bigint + coalesce(rpc_error, 0) + coalesce(denied, 0) + coalesce(limited, 0)
        + coalesce(unauthenticated, 0) + coalesce(invalid, 0) + coalesce(upstream_error, 0) + coalesce(timeout, 0)
        + coalesce(client_gone, 0) + coalesce(unavailable, 0)
    ) STORED,
    latency bigint[] NOT NULL,
    namespace text,
    upstream text,
    user_id text,
    tool text,
    reason text
) PARTITION BY RANGE (at);
CREATE INDEX rollup_{grain}_cut ON analytics_rollup_{grain} (cut, at);
CREATE INDEX rollup_{grain}_user ON analytics_rollup_{grain} (user_id, cut, at) WHERE user_id IS NOT NULL;
CREATE INDEX rollup_{grain}_tool ON analytics_rollup_{grain} (tool, cut, at) WHERE tool IS NOT NULL;
"""

# Minutes whose rows arrived since they were last added up: one mark a block and minute, appended by the shipper in
# the block's transaction. Appending cannot deadlock or wait; `maintain` removes the marks that it has worked off.
# Days that got late rows: read from their hours until they are added up anew.
NOTES = """
CREATE TABLE analytics_staleminute (
    minute timestamptz NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE analytics_staleday (
    day date PRIMARY KEY,
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE analytics_rollupstate (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    rolled_to timestamptz NOT NULL,
    minutes_from timestamptz NOT NULL,
    hours_from timestamptz NOT NULL,
    days_from timestamptz NOT NULL,
    worked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""

# Where the caller's time went before the upstream's: until the caller was known, until rules and limits let it pass.
STAGES = """
ALTER TABLE analytics_requestlog ADD COLUMN auth_us bigint, ADD COLUMN limit_us bigint;
"""

DROP = """
DROP TABLE analytics_rollup_minute, analytics_rollup_hour, analytics_rollup_day,
    analytics_staleminute, analytics_staleday, analytics_rollupstate;
"""


class Migration(migrations.Migration):
    """Made in SQL: Django has no partitioned tables."""

    dependencies = [("analytics", "0001_initial")]

    operations = [
        migrations.RunSQL("".join(GRAIN.format(grain=grain) for grain in ("minute", "hour", "day")) + NOTES, DROP),
        migrations.RunSQL(STAGES, "ALTER TABLE analytics_requestlog DROP COLUMN auth_us, DROP COLUMN limit_us"),
    ]
