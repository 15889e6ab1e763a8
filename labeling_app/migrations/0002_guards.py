"""The guards of labels: what was said stays said, and what people decide has a history."""

from django.db import migrations

from labeling_app.models.guards import create_sql, drop_sql

# Leases and items change all the time: room on their pages, and an early vacuum, keep the queue's index short.
STORAGE = """
ALTER TABLE labeling_app_queueitem SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE labeling_app_lease SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE labeling_app_lease ALTER COLUMN content_hash SET STORAGE PLAIN;
ALTER TABLE labeling_app_label ALTER COLUMN content_hash SET STORAGE PLAIN;
"""


class Migration(migrations.Migration):
    dependencies = [("labeling_app", "0001_initial"), ("datasets_app", "0004_corpus_guards")]

    operations = [
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(create_sql(), drop_sql()),
    ]
