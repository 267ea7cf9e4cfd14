"""Every address of the application, put together from the rooms' own lists."""

from django.urls import include, path

urlpatterns = [
    path("", include("messenger.urls")),
    path("", include("sentlog.urls")),
    path("", include("voice.urls")),
    path("", include("voice.sound_urls")),
]
