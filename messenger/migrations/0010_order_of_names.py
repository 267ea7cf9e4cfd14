"""People in the order of their names, and a person's rows in a message: pages of Delivery Detail."""

from django.db import migrations, models

# Last First without case and accents, as lists print people. Compared by bytes: ß and Æ are written
# as letters by unaccent already, and an index in another collation would depend on the system's.
# Rows of the ledger outlive people. Whose rows those are is written down when a person is deleted:
# looking for them among the rows of a large message takes half a second.
FORWARD = """
ALTER TABLE messenger_person ADD COLUMN sort_name text COLLATE "C" GENERATED ALWAYS AS (
    messenger_folded(family_name || ' ' || coalesce(nullif(preferred_given_name, ''), given_name))
    ) STORED;
CREATE INDEX person_order ON messenger_person (sort_name, id);
CREATE TABLE messenger_person_gone (person_id bigint PRIMARY KEY);
CREATE FUNCTION messenger_person_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO messenger_person_gone VALUES (OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER person_leaves AFTER DELETE ON messenger_person
    FOR EACH ROW EXECUTE FUNCTION messenger_person_leaves();
"""
BACKWARD = """
DROP TRIGGER person_leaves ON messenger_person;
DROP FUNCTION messenger_person_leaves();
DROP TABLE messenger_person_gone;
ALTER TABLE messenger_person DROP COLUMN sort_name;
"""


class Migration(migrations.Migration):
    dependencies = [("messenger", "0009_users_and_roles")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["message", "recipient"], name="delivery_recipient"),
        ),
    ]
