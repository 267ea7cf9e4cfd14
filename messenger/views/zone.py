"""Every page shows times in the district's zone: the middleware that says so, once a request.

Whatever reads or writes a moment for people (templates, forms, messages) may rely on Django's
current time zone being the district's. What is stored is always UTC and never passes through here.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from messenger.models import District


class DistrictZone:
    """Puts the district on the request (`request.district`) and activates its zone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        district = District.current()
        request.district = district  # type: ignore[attr-defined]
        with timezone.override(district.zone):
            return self.get_response(request)
