"""The addresses of the messenger pages."""

from django.urls import URLPattern, URLResolver, path

from messenger.views import frame, home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("sign-in/", frame.SignIn.as_view(), name="login"),
    path("sign-out/", frame.SignOut.as_view(), name="logout"),
    path("theme/", frame.choose_theme, name="theme"),
    path("styleguide/", frame.styleguide, name="styleguide"),
]
