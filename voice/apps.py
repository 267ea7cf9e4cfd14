"""The phone's app: registers voice and text as channels of the messenger, and its own checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VoiceConfig(AppConfig):
    name = "voice"

    def ready(self) -> None:
        from messenger.channels.registry import register, register_recorder
        from messenger.status.findings import register as register_check
        from voice.channel import PhoneChannel
        from voice.recordings import DistrictRecorder
        from voice.status import check_phone

        register(PhoneChannel())
        register_recorder(DistrictRecorder())
        register_check(check_phone, _("Telephone"), 10)
