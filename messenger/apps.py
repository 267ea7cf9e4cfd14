"""The messenger app: who is told and what. Channels and checks register themselves in `ready`."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MessengerConfig(AppConfig):
    name = "messenger"
    verbose_name = "Messenger"

    def ready(self) -> None:
        import messenger.status.deploy  # noqa: F401 - registers its check
        from messenger.status.continuity import check_continuity
        from messenger.status.findings import register
        from messenger.status.machines import check_machines, check_workers
        from messenger.status.messages import check_messages
        from messenger.status.readiness import check_readiness

        register(check_readiness, _("Installation"), 5)
        register(check_continuity, _("Continuity"), 15)
        register(check_messages, _("Messages"), 20)
        register(check_workers, _("Workers"), 30)
        register(check_machines, _("Machines"), 40)
