"""Which database a table lives in: the switchboard's in `switchboard`, all others never there."""

from typing import Any

from django.db.models import Model

ALIAS = "switchboard"
APP_LABEL = "switchboard"


class SwitchboardRouter:
    """Keeps the switchboard's tables and everybody else's apart, for queries and migrations."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return ALIAS if model._meta.app_label == APP_LABEL else None

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self.db_for_read(model)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        ours = [item._meta.app_label == APP_LABEL for item in (first, second)]
        return None if not any(ours) else all(ours)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if app_label == APP_LABEL:
            return db == ALIAS
        return False if db == ALIAS else None
