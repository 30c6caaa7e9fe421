"""A keeper of the roll-ups as a process that starts fast, for tests that kill many: `python -m … DATABASE_URL`."""

from __future__ import annotations

import signal
import sys
from functools import partial

from psycopg.conninfo import conninfo_to_dict

from analytics.database import connect
from analytics.rollup_keeper import Keeper
from analytics.rollups import Retention

if __name__ == "__main__":
    parameters = dict(conninfo_to_dict(sys.argv[1]))
    keeper = Keeper(partial(connect, "test roll-ups", parameters), Retention(2, 90, 1100), pause_s=0.01)
    signal.signal(signal.SIGTERM, lambda *_: keeper.stop())
    keeper.run()
