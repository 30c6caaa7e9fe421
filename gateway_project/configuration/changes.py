"""One change of one row: how it reads in a diff, and how it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models

from gateway_project.configuration.form import column_of
from keys.redaction import MASK, redact
from namespaces.fields import Sealed

_QUIET = frozenset(("slug", "user_id", "created_by", "pepper", "prefix", "header"))


def shown(value: Any) -> str:
    """Return a column's value as a diff shows it, without secrets."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sealed | bytes | memoryview):
        return MASK
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    text = redact(str(value)) or '""'
    return text if len(text) <= 200 else f"{text[:199]}…"


@dataclass(slots=True, eq=False)
class Change:
    """A row to add (`+`), change (`~`) or remove (`-`). A column may hold another Change: the row that it makes."""

    sign: str
    path: str
    model: type[models.Model]
    columns: dict[str, Any] = field(default_factory=dict, repr=False)
    row: Any = field(default=None, repr=False)
    _text: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        # Now, because the row will no longer tell what it was once the change is made.
        self._text = self._render()

    def __str__(self) -> str:
        return self._text

    def _render(self) -> str:
        lines = [f"{self.sign} {self.path}"]
        for name, value in self.columns.items() if self.sign != "-" else ():
            column = column_of(self.model, name)
            after = value.path.partition(".")[2] if isinstance(value, Change) else shown(value)
            if self.sign == "~":
                lines.append(f"    {name}: {shown(getattr(self.row, name))} → {after}")
            elif name not in _QUIET and not column.is_relation and value != column.get_default():
                lines.append(f"    {name}: {after}")
        return "\n".join(lines)

    def make(self) -> None:
        """Write the change to the database."""
        values = {name: value.row if isinstance(value, Change) else value for name, value in self.columns.items()}
        if self.sign == "-":
            self.row.delete()
        elif self.sign == "+":
            self.row = self.model._default_manager.create(**values)
        else:
            for name, value in values.items():
                setattr(self.row, name, value)
            stamped = {"updated_at"} & {column.name for column in self.model._meta.get_fields()}
            self.row.save(update_fields=[*values, *stamped])
