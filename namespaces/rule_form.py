"""How rules are edited: the names found as checkboxes, everything else as lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from namespaces.models import CatalogueEntry, EntryKind
from namespaces.rule_columns import Mode

KINDS = {
    "tools": (EntryKind.TOOL,),
    "prompts": (EntryKind.PROMPT,),
    "resources": (EntryKind.RESOURCE, EntryKind.TEMPLATE),
}
MAX_LINES = 1000
MAX_SHOWN = 500  # checkboxes of one kind; further names are written as lines
AUTOMATIC = ("", "automatic: none where tools are listed, otherwise all")
_TEMPLATE_PART = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that an upstream lists, as a choice: `value` goes into the rule."""

    value: str
    title: str
    description: str


def found(upstream_id: int | None, part: str) -> list[Found]:
    """Return what an upstream lists of one part (tools, prompts or resources), by name, at most MAX_SHOWN."""
    if upstream_id is None:
        return []
    rows = CatalogueEntry.objects.filter(upstream_id=upstream_id, kind__in=KINDS[part], gone_at__isnull=True)
    fields = rows.order_by("name").values_list("kind", "name", "title", "description")[:MAX_SHOWN]
    # A resource template is allowed through the pattern of the URIs that it makes.
    choices = {
        (_TEMPLATE_PART.sub("*", name) if kind == EntryKind.TEMPLATE else name): (title, description)
        for kind, name, title, description in fields
    }
    return [Found(value, title, description[:300]) for value, (title, description) in choices.items()]


class LinesField(forms.CharField):
    """A list of texts, one a line. Blank lines and repetitions vanish."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "widget", forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "vLargeTextField lines"})
        )
        super().__init__(required=False, strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        lines = value if isinstance(value, list | tuple) else str(value or "").splitlines()
        texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        if len(texts) > MAX_LINES:
            raise forms.ValidationError(f"More than {MAX_LINES} lines; use patterns with * instead.")
        return texts

    def run_validators(self, value: Any) -> None:
        """Do nothing: the model's validators see the whole list."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != self.to_python(data)


class FoundNames(forms.CheckboxSelectMultiple):
    """Checkboxes for what an upstream lists; the page's script reloads them when another upstream is chosen."""

    part = "tools"
    source = "upstream"  # ending of the name of the select that decides whose names are shown
    choices_found: Sequence[Found] = ()
    is_known = False  # whether an upstream is chosen at all

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = set(value or ())
        return render_to_string(
            "admin/found_names.html",
            {
                "name": name,
                "part": self.part,
                "source": self.source,
                "is_known": self.is_known,
                "items": [(item, item.value in chosen) for item in self.choices_found],
            },
        )

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        return ""


class FoundNamesField(forms.MultipleChoiceField):
    """The names ticked. Any text is let in here; the model's validators judge the merged list."""

    widget = FoundNames

    def __init__(self, part: str) -> None:
        super().__init__(required=False, label=f"{part.capitalize()} found", widget=FoundNames)
        self.widget.part = part

    def to_python(self, value: Any) -> list[str]:
        return list(dict.fromkeys(text for text in super().to_python(value) if text))

    def validate(self, value: Any) -> None:
        if len(value) > MAX_SHOWN:
            raise forms.ValidationError("Too many names; use patterns with * instead.")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return set(initial or ()) != {text for text in data or () if text}


def _lines(label: str, help_text: str) -> LinesField:
    return LinesField(label=label, help_text=help_text)


class RulesForm(forms.ModelForm):
    """Edits the nine rule columns. Ticking a name switches its kind to the mode `listed`."""

    source = "upstream"

    tools_found = FoundNamesField("tools")
    tools_listed = _lines("Other names and patterns", "Names one a line; * stands for any text, ? for one character.")
    tools_denied = _lines("Never", "Names or patterns, one a line, that never pass, whatever else is set.")
    prompts_found = FoundNamesField("prompts")
    prompts_listed = _lines("Other names and patterns", "Names one a line; * and ? are wildcards.")
    prompts_denied = _lines("Never", "Names or patterns, one a line, that never pass, whatever else is set.")
    resources_found = FoundNamesField("resources")
    resources_listed = _lines("Other URIs and patterns", "URIs one a line; * and ? are wildcards.")
    resources_denied = _lines("Never", "URIs or patterns, one a line, that never pass, whatever else is set.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        upstream_id = self.upstream_id()
        for part in KINDS:
            names = found(upstream_id, part)
            known = {item.value for item in names}
            listed = list(getattr(self.instance, f"{part}_listed") or [])
            field = self.fields[f"{part}_found"]
            field.widget.choices_found, field.widget.is_known = names, upstream_id is not None
            field.widget.source = self.source
            self.initial[f"{part}_found"] = [name for name in listed if name in known]
            self.initial[f"{part}_listed"] = [name for name in listed if name not in known]
            if self.instance.pk is None and part != "tools":
                mode = self.fields[f"{part}_mode"]
                mode.choices, mode.required = [AUTOMATIC, *Mode.choices], False  # type: ignore[attr-defined]
                mode.initial = self.initial[f"{part}_mode"] = ""

    def upstream_id(self) -> int | None:
        """Return whose names are offered; subclasses know where to look."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for part in KINDS:
            self._merge(cleaned, part)
        for part in ("prompts", "resources"):
            if not cleaned.get(f"{part}_mode"):
                cleaned[f"{part}_mode"] = Mode.NONE if cleaned.get("tools_mode") == Mode.LISTED else Mode.ALL
                if cleaned.get(f"{part}_listed"):
                    cleaned[f"{part}_mode"] = Mode.LISTED
        return cleaned

    def _merge(self, cleaned: dict[str, Any], part: str) -> None:
        """Join ticked names and lines into one list; names newly ticked or written switch to `listed`."""
        names = _union(cleaned.get(f"{part}_found", ()), cleaned.get(f"{part}_listed", ()))
        before = list(getattr(self.instance, f"{part}_listed") or [])
        cleaned[f"{part}_listed"] = before if set(before) == set(names) else names
        mode = f"{part}_mode"
        if set(names) - set(before) and mode not in self.changed_data and cleaned.get(mode) == Mode.ALL:
            cleaned[mode] = Mode.LISTED


def _union(*groups: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def rule_fieldsets(*, folded: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return the fieldsets of the rules; prompts and resources (and tools, if `folded`) start closed."""
    return [
        (
            part.capitalize(),
            {
                "fields": (f"{part}_mode", f"{part}_found", f"{part}_listed", f"{part}_denied"),
                "classes": ("rules", *(("collapse",) if folded or part != "tools" else ())),
            },
        )
        for part in KINDS
    ]
