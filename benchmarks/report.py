"""Results as people and programs read them: a table in Markdown, the raw figures in JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
Row = Sequence[str]


def table(heads: Row, rows: Sequence[Row]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write(name: str, title: str, machine: dict[str, str], body: str, figures: dict[str, Any]) -> Path:
    """Write `results/<name>-<date>.md` and `.json` and return the first; a later run of the same day replaces them."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{name}-{now:%Y-%m-%d}.md"
    about = "\n".join(f"- {what}: {value}" for what, value in machine.items())
    path.write_text(f"# {title}\n\nMeasured {now:%Y-%m-%d %H:%M} UTC.\n\n{about}\n\n{body}\n")
    document = {"measured_at": now.isoformat(timespec="seconds"), "machine": machine, **figures}
    path.with_suffix(".json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path
