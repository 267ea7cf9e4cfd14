"""Home: what is happening now, and the two doors to a new message."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The first page after signing in."""
    return render(request, "messenger/home.html")
