"""Roles have an address of their own, changes of access are kept, and whoever may change settings may
also give and take roles (until now nobody could on a page)."""

import uuid
from typing import Any

import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def let_administrators_manage_users(apps: Any, _schema_editor: Any) -> None:
    for role in apps.get_model("messenger", "Role").objects.filter(
        rights__contains=["settings.edit"]
    ):
        role.rights = sorted({*role.rights, "users.manage"})
        role.save(update_fields=["rights"])


class Migration(migrations.Migration):
    dependencies = [
        ("messenger", "0008_census"),
    ]

    operations = [
        migrations.AddField(
            model_name="role",
            name="uuid",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                default=uuid.uuid4,
                editable=False,
                unique=True,
            ),
        ),
        migrations.CreateModel(
            name="AccessChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("role_made", "Role made"),
                            ("role_changed", "Role changed"),
                            ("role_removed", "Role removed"),
                            ("given", "Role given"),
                            ("taken", "Role taken"),
                        ],
                        max_length=12,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("by_name", models.CharField(max_length=310)),
                ("role_name", models.CharField(max_length=80)),
                ("user_name", models.CharField(blank=True, max_length=310)),
                ("school_name", models.CharField(blank=True, max_length=200)),
                (
                    "rights_added",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), default=list, size=None
                    ),
                ),
                (
                    "rights_removed",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), default=list, size=None
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["-at", "-id"]},
        ),
        migrations.RunPython(let_administrators_manage_users, migrations.RunPython.noop),
    ]
