"""Guards of the corpus, storage of what is packed already, and the embedding model that is built in."""

from django.db import migrations

from datasets_app.models.guards import create_corpus_sql, drop_corpus_sql

# Vectors and packed postings do not compress; the statistics of a jsonb or a vector are never asked for.
STORAGE = """
ALTER TABLE datasets_app_lexicalterm ALTER COLUMN postings SET STORAGE EXTERNAL;
ALTER TABLE datasets_app_lexicalsegment ALTER COLUMN chunk_ids SET STORAGE EXTERNAL;
ALTER TABLE datasets_app_lexicalsegment ALTER COLUMN lengths SET STORAGE EXTERNAL;
ALTER TABLE datasets_app_embedding ALTER COLUMN content_hash SET STORAGE PLAIN;
ALTER TABLE datasets_app_embedding ALTER COLUMN vector SET STATISTICS 0;
ALTER TABLE datasets_app_chunk ALTER COLUMN content_hash SET STORAGE PLAIN;
"""


def add_built_in_model(apps, schema_editor):
    model = apps.get_model("datasets_app", "EmbeddingModel")
    model.objects.get_or_create(
        name="minilm", defaults={"provider": "minilm", "dimension": 384, "is_current": True}
    )


class Migration(migrations.Migration):
    dependencies = [("datasets_app", "0003_corpus")]

    operations = [
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(create_corpus_sql(), drop_corpus_sql()),
        migrations.RunPython(add_built_in_model, migrations.RunPython.noop),
    ]
