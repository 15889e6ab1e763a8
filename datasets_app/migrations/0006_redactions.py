"""What of the audit may be erased, and redactions found by their example."""

from django.db import migrations, models

from datasets_app.models.guards import FUNCTIONS_SQL, dataset_guards


def guards_sql() -> str:
    audit = [guard for guard in dataset_guards() if guard.table == "datasets_app_auditevent"]
    return FUNCTIONS_SQL.read_text() + "".join(guard.create_sql for guard in audit)


class Migration(migrations.Migration):
    dependencies = [("datasets_app", "0005_example_vectors")]

    operations = [
        migrations.AddIndex(
            model_name="redaction",
            index=models.Index(fields=["example_id"], name="redaction_of_example"),
        ),
        migrations.RunSQL(guards_sql(), migrations.RunSQL.noop),
    ]
