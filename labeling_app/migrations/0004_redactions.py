"""What labels tell of an example can be redacted, and stays so."""

from django.db import migrations, models

from labeling_app.models.guards import create_sql


class Migration(migrations.Migration):
    dependencies = [
        ("labeling_app", "0003_review_claims"),
        ("datasets_app", "0006_redactions"),
    ]

    operations = [
        migrations.AlterField(
            model_name="historicallabelhistory",
            name="event",
            field=models.CharField(
                choices=[
                    ("submitted", "Submitted"),
                    ("changed", "Changed"),
                    ("undone", "taken back"),
                    ("skipped", "Skipped"),
                    ("flagged", "Flagged"),
                    ("late", "submitted too late: kept here, not counted"),
                    ("imported", "Imported"),
                    ("bulk", "given in bulk"),
                    ("bulk_undone", "bulk taken back"),
                    ("adopted", "Adopted"),
                    ("unadopted", "adoption taken back"),
                    ("rejected", "Rejected"),
                    ("sent_back", "sent back to the labelers"),
                    ("restored", "restored: sending it back was undone"),
                    ("redacted", "redacted: what was said before is erased"),
                ],
                max_length=11,
            ),
        ),
        migrations.AlterField(
            model_name="historicalreview",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "open"),
                    ("adopted", "a label was adopted"),
                    ("third_answer", "the reviewer gave another answer"),
                    ("rejected", "the example was rejected"),
                    ("sent_back", "sent back to the labelers"),
                    ("kept", "the answer that is there stays"),
                    ("settled", "settled by itself: the labels agree now"),
                    ("redacted", "closed: the example was redacted"),
                ],
                default="",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="labelhistory",
            name="event",
            field=models.CharField(
                choices=[
                    ("submitted", "Submitted"),
                    ("changed", "Changed"),
                    ("undone", "taken back"),
                    ("skipped", "Skipped"),
                    ("flagged", "Flagged"),
                    ("late", "submitted too late: kept here, not counted"),
                    ("imported", "Imported"),
                    ("bulk", "given in bulk"),
                    ("bulk_undone", "bulk taken back"),
                    ("adopted", "Adopted"),
                    ("unadopted", "adoption taken back"),
                    ("rejected", "Rejected"),
                    ("sent_back", "sent back to the labelers"),
                    ("restored", "restored: sending it back was undone"),
                    ("redacted", "redacted: what was said before is erased"),
                ],
                max_length=11,
            ),
        ),
        migrations.AlterField(
            model_name="review",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "open"),
                    ("adopted", "a label was adopted"),
                    ("third_answer", "the reviewer gave another answer"),
                    ("rejected", "the example was rejected"),
                    ("sent_back", "sent back to the labelers"),
                    ("kept", "the answer that is there stays"),
                    ("settled", "settled by itself: the labels agree now"),
                    ("redacted", "closed: the example was redacted"),
                ],
                default="",
                max_length=12,
            ),
        ),
        migrations.RunSQL(create_sql(), migrations.RunSQL.noop),
    ]
