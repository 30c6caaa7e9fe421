"""The rule columns that a namespace and a grant share: a mode, listed and denied names for each kind."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from namespaces.rules import NameRule, RuleSet
from namespaces.validators import validate_patterns


class Mode(models.TextChoices):
    """How a rule treats names that its deny list does not hold."""

    ALL = "all", "all names"
    LISTED = "listed", "only the names listed"
    NONE = "none", "no names"


def _mode(kind: str) -> models.CharField:
    return models.CharField(
        f"{kind} allowed",
        max_length=8,
        choices=Mode.choices,
        default=Mode.ALL,
        help_text=f"Which {kind} pass. With “only the names listed”, an empty list lets nothing through.",
    )


def _names(label: str, help_text: str) -> ArrayField:
    return ArrayField(
        models.CharField(max_length=512),
        verbose_name=label,
        default=list,
        blank=True,
        validators=[validate_patterns],
        help_text=help_text,
    )


class Rules(models.Model):
    """The rule columns shared by a namespace and a grant: mode, listed and denied names for each kind."""

    tools_mode = _mode("tools")
    tools_listed = _names("listed tools", "Names, one a line; * stands for any text, ? for one character.")
    tools_denied = _names("denied tools", "Names that never pass, whatever else is set.")
    prompts_mode = _mode("prompts")
    prompts_listed = _names("listed prompts", "Names, one a line; * and ? are wildcards.")
    prompts_denied = _names("denied prompts", "Names that never pass, whatever else is set.")
    resources_mode = _mode("resources")
    resources_listed = _names("listed resources", "URIs, one a line; * and ? are wildcards.")
    resources_denied = _names("denied resources", "URIs that never pass, whatever else is set.")

    class Meta:
        abstract = True

    def rule_set(self) -> RuleSet:
        """Return the three rules as compiled values."""
        return RuleSet(
            NameRule.build(self.tools_mode, self.tools_listed, self.tools_denied),
            NameRule.build(self.prompts_mode, self.prompts_listed, self.prompts_denied),
            NameRule.build(self.resources_mode, self.resources_listed, self.resources_denied),
        )


def rule_constraints(table: str) -> list[models.CheckConstraint]:
    """Return the check constraints for the modes of a table with rules."""
    return [
        models.CheckConstraint(name=f"{table}_{kind}_mode", condition=models.Q(**{f"{kind}_mode__in": Mode.values}))
        for kind in ("tools", "prompts", "resources")
    ]
