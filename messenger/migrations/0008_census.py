"""The history of contact points and preferences, batches, and what people are searched by."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models


# Names are searched without case and accents, a word anywhere in them whole, by its beginning (which
# is why there is a space at both ends) or by what is like it; numbers by their first or last digits, addresses by any part.
# unaccent() depends on a dictionary that could change, which is why it is not called immutable;
# ours is named, and does not.
FORWARD = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE FUNCTION messenger_folded(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT lower(public.unaccent('public.unaccent', $1)) $$;
ALTER TABLE messenger_person ADD COLUMN search text GENERATED ALWAYS AS (messenger_folded(
    ' ' || given_name || ' ' || preferred_given_name || ' ' || middle_name || ' ' || family_name
    || ' ')) STORED;
CREATE INDEX person_search ON messenger_person USING gin (search gin_trgm_ops);
CREATE INDEX person_number ON messenger_person (identifier text_pattern_ops)
    WHERE identifier <> '';
CREATE INDEX point_value ON messenger_contactpoint (value text_pattern_ops);
CREATE INDEX point_end ON messenger_contactpoint (reverse(value) text_pattern_ops)
    WHERE device NOT IN ('email', 'email2');
CREATE INDEX point_address ON messenger_contactpoint USING gin (value gin_trgm_ops)
    WHERE device IN ('email', 'email2');
CREATE FUNCTION messenger_keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The history of contact preferences only grows.';
END $$;
CREATE TRIGGER contact_change_is_kept BEFORE UPDATE OR DELETE ON messenger_contactchange
    FOR EACH ROW EXECUTE FUNCTION messenger_keep_history();
"""
BACKWARD = """
DROP TRIGGER contact_change_is_kept ON messenger_contactchange;
DROP FUNCTION messenger_keep_history();
DROP INDEX person_number, point_value, point_end, point_address;
ALTER TABLE messenger_person DROP COLUMN search;
DROP FUNCTION messenger_folded(text);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("messenger", "0007_undo_window"),
    ]

    operations = [
        migrations.AddField(
            model_name="contactpreference",
            name="set_by",
            field=models.CharField(blank=True, db_default="", max_length=10),
        ),
        migrations.AddField(
            model_name="householdmembership",
            name="source",
            field=models.CharField(db_default="roster", max_length=20),
        ),
        migrations.AddField(
            model_name="person",
            name="gender",
            field=models.CharField(blank=True, db_default="", max_length=20),
        ),
        migrations.AddField(
            model_name="person",
            name="language_chosen",
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name="relationship",
            name="source",
            field=models.CharField(db_default="roster", max_length=20),
        ),
        migrations.CreateModel(
            name="ContactChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "door",
                    models.CharField(
                        choices=[
                            ("admin", "Person page"),
                            ("batch", "Contact Preferences Batch"),
                            ("portal", "Portal"),
                            ("import", "Roster import"),
                            ("stop", "The owner of the number"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("point", "Contact information"),
                            ("marks", "Contact preferences"),
                            ("link", "Relationship"),
                            ("member", "Household membership"),
                            ("person", "Demographics"),
                            ("consent", "Consent"),
                        ],
                        max_length=10,
                    ),
                ),
                ("person_id", models.BigIntegerField(null=True)),
                ("household_id", models.BigIntegerField(null=True)),
                ("other_id", models.BigIntegerField(null=True)),
                ("contact_point_id", models.BigIntegerField(null=True)),
                (
                    "device",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("email", "Email"),
                            ("email2", "Secondary Email"),
                            ("household", "Household Phone"),
                            ("cell", "Cell"),
                            ("other", "Other"),
                            ("work", "Work"),
                            ("pager", "Pager"),
                            ("inbox", "Inbox"),
                            ("none", "No Device"),
                        ],
                        db_default="",
                        max_length=10,
                    ),
                ),
                (
                    "mode",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("inbox", "Inbox"),
                            ("email", "Email"),
                            ("voice", "Voice"),
                            ("text", "Text"),
                            ("none", "No Device"),
                        ],
                        db_default="",
                        max_length=10,
                    ),
                ),
                ("field", models.CharField(blank=True, db_default="", max_length=30)),
                ("before", models.CharField(blank=True, db_default="", max_length=300)),
                ("after", models.CharField(blank=True, db_default="", max_length=300)),
                ("private", models.BooleanField(db_default=False)),
                ("marks_before", models.SmallIntegerField(null=True)),
                ("marks_after", models.SmallIntegerField(null=True)),
                ("user_id", models.BigIntegerField(null=True)),
                ("user_name", models.CharField(blank=True, db_default="", max_length=310)),
                ("batch_id", models.BigIntegerField(null=True)),
                ("undo", models.BooleanField(db_default=False)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("person_id__isnull", False)),
                        fields=["person_id", "id"],
                        name="change_by_person",
                    ),
                    models.Index(
                        condition=models.Q(("household_id__isnull", False)),
                        fields=["household_id", "id"],
                        name="change_by_household",
                    ),
                    models.Index(
                        condition=models.Q(("other_id__isnull", False)),
                        fields=["other_id", "id"],
                        name="change_by_other",
                    ),
                    models.Index(
                        condition=models.Q(("batch_id__isnull", False)),
                        fields=["batch_id", "id"],
                        name="change_by_batch",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PreferenceBatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("criteria", models.JSONField(default=dict)),
                ("rule", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("undo_waiting", "Waiting to be undone"),
                            ("undoing", "Being undone"),
                            ("undone", "Undone"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("people", models.PositiveIntegerField(default=0)),
                ("people_done", models.PositiveIntegerField(default=0)),
                ("counts", models.JSONField(default=dict)),
                ("trouble", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "started_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
