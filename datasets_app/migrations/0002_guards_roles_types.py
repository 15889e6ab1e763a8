"""Guards, the order of import, the groups named after roles, the built-in types, and pgvector for what comes later."""

from django.db import migrations
from pgvector.django import VectorExtension

from datasets_app.domain.builtin_types import BUILTIN_TYPES
from datasets_app.domain.roles import Role
from datasets_app.models.guards import create_sql, drop_sql

# Digests and short packed nodes neither compress nor need out-of-line reads of a part.
STORAGE = """
ALTER TABLE datasets_app_node ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE datasets_app_node ALTER COLUMN hash SET STORAGE PLAIN;
ALTER TABLE datasets_app_blob ALTER COLUMN hash SET STORAGE PLAIN;
CREATE SEQUENCE golden_ordinal_seq AS bigint;
"""
# django-simple-history indexes who wrote a row; on the history of examples that index is large and never asked.
DROP_UNUSED_INDEXES = """
DO $$ DECLARE i text; BEGIN
    FOR i IN SELECT indexname FROM pg_indexes WHERE tablename = 'datasets_app_historicalexample'
              AND indexdef ~ '\\((history_user_id|branch_id|example_type_id|validated_by_id|example_id|id)\\)$'
              AND indexname NOT LIKE '%pkey' LOOP
        EXECUTE format('DROP INDEX %I', i);
    END LOOP;
END $$;
CREATE INDEX historicalexample_example ON datasets_app_historicalexample (example_id, history_id);
"""


def add_roles(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for role in Role:
        group.objects.get_or_create(name=role.value)


def add_types(apps, schema_editor):
    example_type = apps.get_model("datasets_app", "ExampleType")
    for definition in BUILTIN_TYPES:
        example_type.objects.get_or_create(
            name=definition["name"], defaults={**definition, "is_builtin": True}
        )


class Migration(migrations.Migration):
    dependencies = [
        ("datasets_app", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        VectorExtension(),
        migrations.RunSQL(STORAGE, "DROP SEQUENCE golden_ordinal_seq;"),
        migrations.RunSQL(DROP_UNUSED_INDEXES, "DROP INDEX historicalexample_example;"),
        migrations.RunSQL(create_sql(), drop_sql()),
        migrations.RunPython(add_roles, migrations.RunPython.noop),
        migrations.RunPython(add_types, migrations.RunPython.noop),
    ]
