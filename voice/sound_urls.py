"""The addresses of what a call sounds like: settings pages, and the sounds that pages play."""

from django.urls import URLPattern, URLResolver, path

from voice import hearing, sound_views

urlpatterns: list[URLPattern | URLResolver] = [
    path("settings/prompts/", sound_views.prompts, name="prompts"),
    path("settings/caller-ids/", sound_views.caller_ids_page, name="caller_ids"),
    path("settings/dictionary/", sound_views.dictionary_page, name="dictionary"),
    path("settings/prompts/call.wav", hearing.prompts_call, name="prompts_call"),
    path("settings/dictionary/sample.wav", hearing.sample, name="dictionary_sample"),
    path("listen/recordings/<uuid:uuid>.wav", hearing.recording, name="recording"),
    path("listen/messages/<uuid:uuid>.wav", hearing.message_call, name="message_call"),
    path("listen/drafts/<uuid:uuid>/live.wav", hearing.draft_call, name="draft_call"),
    path(
        "listen/drafts/<uuid:uuid>/machine.wav",
        hearing.draft_call,
        {"part": hearing.MACHINE},
        name="draft_call_machine",
    ),
]
