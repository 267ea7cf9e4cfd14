"""How often a page that moves looks again: soon after a change, ever more rarely without one."""

from django.http import HttpRequest

# The call log is read every 15 s; looking more often than every 2 s shows nothing new.
FIRST_SECONDS, LAST_SECONDS, SLOWER = 2.0, 15.0, 1.5


def next_look(request: HttpRequest, version: str) -> float:
    """Seconds until the page looks again. The address says what the page shows already (`shown`)
    and how long it waited (`seconds`): unchanged, it waits half as long again."""
    if request.GET.get("shown") != version:
        return FIRST_SECONDS
    return min(LAST_SECONDS, _number(request.GET.get("seconds")) * SLOWER)


def _number(text: str | None) -> float:
    try:
        return max(FIRST_SECONDS, min(LAST_SECONDS, float(text or FIRST_SECONDS)))
    except ValueError:
        return FIRST_SECONDS
