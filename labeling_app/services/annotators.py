"""Whose a label is: a person's, whatever they were called when they gave it; else of the name in the imported file.

Labels and their history keep the user name of then (`annotator`), because the log is never rewritten, and the person
(`labeler`), who may be called otherwise since.
"""

from __future__ import annotations

from typing import Final

from django.contrib.auth import get_user_model
from django.db.models import F, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

# The name of now of the row's person, the name in the file where there is none; a look-up by key in a small table.
NAME_NOW: Final = "coalesce((SELECT u.username FROM auth_user u WHERE u.id = labeler_id), annotator)"

# The same to count people by, as an expression of querysets: the person's number, or the name in the file.
PERSON: Final = Coalesce(Cast("labeler", TextField()), Concat(Value("file:"), F("annotator")))


def of_annotator(table: str = "") -> str:
    """Return the SQL condition that picks the rows of one annotator; its two parameters are both the name.

    `table` is a prefix such as "label.". With the queue it is a BitmapOr of label_newest_of_labeler.
    """
    return (
        f"({table}labeler_id = (SELECT u.id FROM auth_user u WHERE u.username = %s)"
        f" OR ({table}labeler_id IS NULL AND {table}annotator = %s))"
    )


def annotated_by(name: str) -> Q:
    """Return the same condition for querysets of Label and LabelHistory, for names of then as well."""
    people = get_user_model()._default_manager.filter(username=name)
    return Q(labeler__in=people.values("pk")) | Q(annotator=name)
