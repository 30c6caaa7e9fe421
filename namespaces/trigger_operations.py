"""A migration operation that adds many triggers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from pgtrigger.migrations import AddTrigger


class AddTriggers(Operation):
    """Adds triggers and renders the models anew once.

    Each operation of its own would render all related models again, which made most of the time that a new
    database took.
    """

    def __init__(self, triggers: Sequence[AddTrigger]) -> None:
        self.triggers = triggers

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Note the triggers in the models' state. What is not rendered need not be rendered anew."""
        state.__dict__.pop("apps", None)
        for trigger in self.triggers:
            trigger.state_forwards(app_label, state)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Make the triggers."""
        for trigger in self.triggers:
            trigger.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Remove the triggers; their models are those of the state that has them."""
        for trigger in reversed(self.triggers):
            trigger.database_backwards(app_label, schema_editor, to_state, from_state)

    def describe(self) -> str:
        """Return what it does, for the output of migrate."""
        return f"Create {len(self.triggers)} triggers"

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """Return how it is made."""
        return type(self).__name__, [], {"triggers": self.triggers}
