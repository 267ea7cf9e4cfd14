"""How values look on a page: numbers, moments, times of day, grades. It decides nothing."""

from datetime import datetime, time

from django import template
from django.core.paginator import Page
from django.utils import dateformat, timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def number(value: int | float | None) -> str:
    """4210 → "4,210"; nothing for None."""
    return "" if value is None else number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def moment(value: datetime | None) -> str | SafeString:
    """A <time> that reads 11/21/2026 2:05 PM CST in the current (the district's) zone."""
    if value is None:
        return ""
    local = timezone.localtime(value)
    return format_html(
        '<time datetime="{}">{}</time>', local.isoformat(timespec="seconds"), moment_words(value)
    )


def moment_words(value: datetime) -> str:
    """11/21/2026 2:05 PM CST, in the current zone."""
    return dateformat.format(timezone.localtime(value), "m/d/Y g:i A T")


@register.filter
def duration(seconds: float | None) -> str:
    """How long something plays: 0:34, 4:05."""
    whole = max(1, round(seconds)) if seconds else 0
    return f"{whole // 60}:{whole % 60:02}"


@register.filter
def clock(value: time | None) -> str:
    """A time of day: 8:00 AM."""
    return "" if value is None else dateformat.time_format(value, "g:i A")


@register.filter
def grade(value: str) -> str:
    """A CEDS grade in words: "KG" → "Kindergarten", "04" → "Grade 4"."""
    named = {
        "IT": _("Infant/toddler"),
        "PR": _("Preschool"),
        "PK": _("Prekindergarten"),
        "TK": _("Transitional Kindergarten"),
        "KG": _("Kindergarten"),
        "PS": _("Postsecondary"),
        "UG": _("Ungraded"),
        "Other": _("Other grade"),
        "": _("No grade"),
    }
    if value in named:
        return named[value]
    return _("Grade %(number)s") % {"number": value.lstrip("0") or value}


@register.filter
def percent(done: int | None, total: int | None) -> int:
    """How much of it is done: 0 to 99 until everything is, then 100."""
    if not total:
        return 0
    return 100 if (done or 0) >= total else min(99, 100 * (done or 0) // total)


@register.filter
def pages_shown(page: Page) -> list[int]:
    """The page numbers to offer; 0 stands for a gap."""
    elided = page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1)
    return [n if isinstance(n, int) else 0 for n in elided]
