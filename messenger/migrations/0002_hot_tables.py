"""Storage of the hot tables: room for updates in place, early vacuum, and the schedule numbers."""

from django.db import migrations

# fillfactor 70: an update of a row that is not indexed stays on its page (HOT). A message of a
# million rows would otherwise reach autovacuum's default threshold (20 %) only after 200,000 dead
# rows, in the middle of its own results.
FORWARD = """
ALTER TABLE messenger_delivery SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE messenger_attempt SET (fillfactor = 90, autovacuum_analyze_scale_factor = 0.05);
CREATE SEQUENCE messenger_schedule_id START 1001;
"""
BACKWARD = """
DROP SEQUENCE messenger_schedule_id;
ALTER TABLE messenger_attempt RESET (fillfactor, autovacuum_analyze_scale_factor);
ALTER TABLE messenger_delivery RESET (fillfactor, autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor);
"""


class Migration(migrations.Migration):
    dependencies = [("messenger", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
