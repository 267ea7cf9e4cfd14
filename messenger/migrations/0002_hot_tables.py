"""Storage of the hot tables: room for updates in place, early vacuum, no belief about messages, and
the schedule numbers."""

from django.db import migrations

# fillfactor 70: an update of a row that is not indexed stays on its page (HOT). A message of a
# million rows would otherwise reach autovacuum's default threshold (20 %) only after 200,000 dead
# rows, in the middle of its own results.
#
# No statistics on message_id: with them the planner knows the messages that were there at the last
# ANALYZE and takes a new one for empty, so that any index seems as good as another for it. One look
# for a number then read all rows of the message (60 s a slice instead of 0.5). Without them it
# assumes half a percent of the table, and the index with the most columns in the condition wins.
FORWARD = """
ALTER TABLE messenger_delivery SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE messenger_attempt SET (fillfactor = 90, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE messenger_delivery ALTER COLUMN message_id SET STATISTICS 0;
ALTER TABLE messenger_attempt ALTER COLUMN message_id SET STATISTICS 0;
CREATE SEQUENCE messenger_schedule_id START 1001;
"""
BACKWARD = """
DROP SEQUENCE messenger_schedule_id;
ALTER TABLE messenger_attempt ALTER COLUMN message_id SET STATISTICS -1;
ALTER TABLE messenger_delivery ALTER COLUMN message_id SET STATISTICS -1;
ALTER TABLE messenger_attempt RESET (fillfactor, autovacuum_analyze_scale_factor);
ALTER TABLE messenger_delivery RESET (fillfactor, autovacuum_vacuum_scale_factor,
    autovacuum_analyze_scale_factor);
"""


class Migration(migrations.Migration):
    dependencies = [("messenger", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
