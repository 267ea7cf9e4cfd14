"""Who may open a page: the decorator that every page with a right wears. Deny by default."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from messenger import rights

View = Callable[..., HttpResponse]


def needs(*any_of: str) -> Callable[[View], View]:
    """The page opens for users who hold one of the rights anywhere; others get 403."""

    def wear(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not any(rights.may(request.user, right) for right in any_of):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return wear
