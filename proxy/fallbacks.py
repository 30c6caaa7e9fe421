"""How often a process went on without the store that counts for all: calls decided by itself, and calls refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.metrics import families

if TYPE_CHECKING:
    from analytics.metrics.cells import Cells


class Fallbacks:
    """Calls `alone` decided by what this process knew by itself, and `refused` for want of the `store`.

    Both only grow, from the start of the process; in `cells` they go on over its end, for /metrics.
    """

    def __init__(self, store: str, cells: Cells | None = None) -> None:
        self.alone = self.refused = 0
        self._cells = cells
        if cells is not None:  # told from the start, as 0
            self._alone = cells.find(families.WITHOUT_STORE, (store, "alone"))
            self._refused = cells.find(families.WITHOUT_STORE, (store, "refused"))

    def note_alone(self) -> None:
        """Count a call that was decided without the store."""
        self.alone += 1
        if self._cells is not None:
            self._cells.values[self._alone] += 1.0

    def note_refused(self) -> None:
        """Count a call that was refused for want of it."""
        self.refused += 1
        if self._cells is not None:
            self._cells.values[self._refused] += 1.0
