"""Filters of the request log that never look at more rows than an index gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin import ListFilter, ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from analytics.models import RequestLog
from analytics.record import OUTCOMES

# So many rows are counted and can be paged through; beyond them the filters are to be narrowed.
COUNTED = 10_000
PERIODS = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "all": ("all that is kept", None),
}
DEFAULT_PERIOD = "24h"


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to COUNTED rows, so that ten million cost no more than ten thousand."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most COUNTED."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


def _kept_parameters(changelist: ChangeList, *dropped: str) -> list[tuple[str, str]]:
    """Return the query's other parameters, which a filter's form has to carry along."""
    parameters: dict[str, list[str]] = changelist.filter_params
    return [(name, value) for name, values in parameters.items() if name not in dropped for value in values]


class TimeFilter(ListFilter):
    """When a request began: a period up to now, the last 24 hours by default, or a range in UTC."""

    title = "time (UTC)"
    template = "analytics/time_filter.html"
    _names = ("period", "since", "until")

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: type[RequestLog], model_admin: ModelAdmin[Any]
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.given: dict[str, str] = {name: params.pop(name)[-1].strip() for name in self._names if name in params}
        self.used_parameters.update(self.given)
        self.errors: list[str] = []
        self.since, self.until = self._moment("since"), self._moment("until", is_end=True)
        self.period = self.given.get("period", "")
        if self.period not in PERIODS:
            # A search finds a request by its id, however old it is.
            self.period = "all" if request.GET.get(SEARCH_VAR) else DEFAULT_PERIOD

    def has_output(self) -> bool:
        """Show the filter always."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """Return the parameters that belong to this filter."""
        return list(self._names)

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        """Restrict the rows. A range wins over a period."""
        if self.since or self.until:
            queryset = queryset.filter(at__gte=self.since) if self.since else queryset
            return queryset.filter(at__lt=self.until) if self.until else queryset
        span = PERIODS[self.period][1]
        return queryset if span is None else queryset.filter(at__gte=timezone.now() - span)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Give the template its periods and the form of the range."""
        is_range = bool(self.since or self.until)
        periods = [
            {
                "selected": not is_range and name == self.period,
                "query_string": changelist.get_query_string({"period": name}, ["since", "until"]),
                "display": label,
            }
            for name, (label, _) in PERIODS.items()
        ]
        yield {
            "periods": periods,
            "kept": _kept_parameters(changelist, *self._names),
            "since": self.given.get("since", ""),
            "until": self.given.get("until", ""),
            "errors": self.errors,
        }

    def _moment(self, name: str, is_end: bool = False) -> datetime | None:
        """Return a parameter as a moment in UTC; a date alone means its beginning, or its end where a range ends."""
        text = self.given.get(name, "")
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            return moment + timedelta(days=1) if is_end and len(text) == len("2026-11-20") else moment
        except (ValueError, OverflowError):
            self.errors.append(f"“{text[:40]}” is no date; write 2026-11-20 or 2026-11-20 14:30.")
            return None


class TextFilter(SimpleListFilter):
    """A column equal to what is typed. Subclasses name the column; `suggestions` are offered while typing."""

    template = "analytics/text_filter.html"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Return a choice, because without any Django would leave the filter out."""
        return [("", "")]

    def suggestions(self) -> Iterable[str]:
        """Return values to offer; few, and cheap to find."""
        return ()

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        """Restrict the rows."""
        value = (self.value() or "").replace("\0", "")
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Give the template its form."""
        yield {
            "name": self.parameter_name,
            "value": self.value() or "",
            "clear": changelist.get_query_string(remove=[str(self.parameter_name)]),
            "kept": _kept_parameters(changelist, str(self.parameter_name)),
            "suggestions": list(self.suggestions()),
        }


def text_filter(column: str, label: str, offered: Callable[[], Iterable[str]] = tuple) -> type[TextFilter]:
    """Return the filter class of a text column."""

    class ColumnFilter(TextFilter):
        title = label
        parameter_name = column

        def suggestions(self) -> Iterable[str]:
            return offered()

    return ColumnFilter


class OutcomeFilter(SimpleListFilter):
    """One outcome, or everything but `ok`."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Offer every outcome; no row is looked at for it."""
        return [("failed", "all but ok"), *((outcome, outcome.replace("_", " ")) for outcome in OUTCOMES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        """Restrict the rows."""
        if self.value() == "failed":
            # Not an exclusion: a list of equals can use the index of the failed rows.
            return queryset.filter(outcome__in=[outcome for outcome in OUTCOMES if outcome != "ok"])
        return queryset.filter(outcome=self.value()) if self.value() in OUTCOMES else queryset
