"""The addresses of the messenger pages."""

from django.urls import URLPattern, URLResolver, path

from messenger.composition import EMERGENCY_TOOL
from messenger.views import (
    access,
    batches,
    compose,
    district,
    frame,
    home,
    imports,
    people,
    relationships,
    restored,
    status,
)


def tool_pages(prefix: str, tool: str) -> list[URLPattern]:
    """The pages of one tool; the address says which, so that a right belongs to an address."""
    with_tool = {"tool": tool}
    return [
        path(f"{prefix}/new/", compose.write, with_tool, name=f"{tool}_new"),
        path(f"{prefix}/estimate/", compose.estimate, with_tool, name=f"{tool}_estimate"),
        path(f"{prefix}/<uuid:uuid>/", compose.write, with_tool, name=f"{tool}_write"),
        path(f"{prefix}/<uuid:uuid>/check/", compose.check, with_tool, name=f"{tool}_check"),
        path(f"{prefix}/<uuid:uuid>/confirm/", compose.confirm, with_tool, name=f"{tool}_confirm"),
        path(f"{prefix}/<uuid:uuid>/discard/", compose.discard, with_tool, name=f"{tool}_discard"),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("now/", home.now, name="home_now"),
    path("sign-in/", frame.SignIn.as_view(), name="login"),
    path("sign-out/", frame.SignOut.as_view(), name="logout"),
    path("theme/", frame.choose_theme, name="theme"),
    path("styleguide/", frame.styleguide, name="styleguide"),
    *tool_pages("messages", "general"),
    *tool_pages("emergency", EMERGENCY_TOOL),
    path("people/", people.find, name="people"),
    path("people/batches/", batches.batches, name="batches"),
    path("people/batches/new/", batches.new_batch, name="batch_new"),
    path("people/batches/<uuid:uuid>/", batches.batch, name="batch"),
    path("people/batches/<uuid:uuid>/now/", batches.batch_now, name="batch_now"),
    path("people/batches/<uuid:uuid>/undo/", batches.undo_batch, name="batch_undo"),
    path("people/<uuid:uuid>/", people.person, name="person"),
    path("people/<uuid:uuid>/history/", people.person_history, name="person_history"),
    path(
        "people/<uuid:uuid>/relationships/",
        relationships.person_relationships,
        name="person_relationships",
    ),
    path("people/<uuid:uuid>/relate/", relationships.relate, name="person_relate"),
    path("imports/", imports.runs, name="imports"),
    path("imports/<uuid:uuid>/", imports.run, name="import_detail"),
    path("imports/<uuid:uuid>/again/", imports.again, name="import_again"),
    path("imports/<uuid:uuid>/now/", imports.run_now, name="import_now"),
    path("settings/", district.settings_page, name="settings"),
    path("settings/access/", access.overview, name="access"),
    path("settings/access/roles/new/", access.role, name="role_new"),
    path("settings/access/roles/<uuid:uuid>/", access.role, name="role"),
    path("settings/access/roles/<uuid:uuid>/remove/", access.role_remove, name="role_remove"),
    path("settings/access/users/<uuid:uuid>/", access.person, name="access_user"),
    path("settings/access/users/<uuid:uuid>/take/", access.take, name="access_take"),
    path("status/", status.status, name="status"),
    path("status/now/", status.now, name="status_now"),
    path("restored/", restored.restored, name="restored"),
]
