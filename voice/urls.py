"""The addresses of the voice pages."""

from django.urls import URLPattern, URLResolver, path

from voice import setup_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("settings/voice/", views.voice_settings, name="voice_settings"),
    path("settings/voice/account/", views.save_account, name="voice_account"),
    path("settings/voice/test/", views.test_connection, name="voice_test"),
    path("settings/voice/hosting/", views.save_hosting, name="voice_hosting"),
    path("settings/setup/", setup_views.setup, name="setup"),
    path("alarms/", views.alarms, name="alarms"),
]
