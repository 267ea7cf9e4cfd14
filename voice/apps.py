"""The phone's app: registers voice and text as channels of the messenger."""

from django.apps import AppConfig


class VoiceConfig(AppConfig):
    name = "voice"

    def ready(self) -> None:
        from messenger.channels.registry import register, register_recorder
        from voice.channel import PhoneChannel
        from voice.recordings import DistrictRecorder

        register(PhoneChannel())
        register_recorder(DistrictRecorder())
