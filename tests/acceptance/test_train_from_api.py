"""A training job reads a tag from the API of a living site and trains a classifier on it, on real input."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from datasets_app.models import DatasetCommit, ExampleType
from datasets_app.services.access.tokens import create_token
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import delete_examples
from datasets_app.services.curation.importing import ImportOptions, import_file
from datasets_app.services.curation.types import save_type
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_tag

SCRIPT = Path(__file__).resolve().parents[2] / "goldenproject" / "guide" / "examples" / "train_from_api.py"
ROWS = int(os.environ.get("GOLDEN_TRAINING_ROWS", "6000"))  # bank-full.csv has 45,211
NUMBERS = ("age", "balance", "day", "duration", "campaign", "pdays", "previous")


def bank_type(columns: list[str]) -> ExampleType:
    properties = {name: {"type": "integer" if name in NUMBERS else "string"} for name in columns[:-1]}
    return ExampleType(
        name="bank_marketing",
        title="Bank marketing",
        input_schema={"type": "object", "properties": properties, "additionalProperties": False},
        output_schema={
            "type": "object",
            "properties": {"label": {"enum": ["yes", "no"]}},
            "required": ["label"],
        },
        class_field="label",
    )


@pytest.fixture
def bank(live_site: str, shared_data: Path, tmp_path: Path) -> DatasetCommit:
    """The version v1.0 of the dataset "bank": the first rows of bank-full.csv. The working copy has moved on."""
    lines = (
        (shared_data / "tabular" / "bank_marketing" / "bank-full.csv").read_text().splitlines(keepends=True)
    )
    columns = [name.strip().strip('"') for name in lines[0].split(",")]
    file = tmp_path / "bank.csv"
    file.write_text("".join(itertools.islice(lines, ROWS + 1)))
    dataset = create_dataset(
        name="bank", actor=None, default_type=save_type(example_type=bank_type(columns), actor=None)
    )
    mapping = {name: f"input.{name}" for name in columns[:-1]} | {columns[-1]: "output.label"}
    result = import_file(branch=dataset.main, source=file, actor=None, options=ImportOptions(mapping=mapping))
    assert result.added == min(ROWS, len(lines) - 1)
    made = commit(branch=dataset.main, message="bank-full.csv as it came", actor=None, author="tests")
    create_tag(dataset=dataset, name="v1.0", actor=None)
    gone = dataset.main.examples.order_by("ordinal").values_list("identity_id", flat=True)[:100]
    delete_examples(branch=dataset.main, uuids=list(gone), actor=None)
    return made


def run(site: str, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GOLDEN_TOKEN": token}
    command = [sys.executable, str(SCRIPT), site, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_training_script__tag_of_bank_full__trains_better_than_guessing(
    live_site: str, bank: DatasetCommit
) -> None:
    job = get_user_model().objects.create_user("training-job")
    job.groups.add(Group.objects.get(name="viewer"))
    token = create_token(user=job, name="nightly training", scopes=["read"], actor=job)[1]

    first = run(live_site, token, "bank", "v1.0")
    assert (first.returncode, first.stderr) == (0, "")
    found = json.loads(first.stdout)
    assert found["commit"] == bank.commit_hash
    assert found["trained_on"] + found["tested_on"] == found["examples"] == bank.example_count
    assert found["classes"] == ["no", "yes"]
    assert found["balanced_accuracy"] > found["balanced_accuracy_of_guessing"] == 0.5
    assert run(live_site, token, "bank", bank.commit_hash).stdout == first.stdout

    missing = run(live_site, token, "bank", "v9")
    assert missing.returncode == 1
    assert missing.stderr.startswith("unknown_ref: Dataset “bank” has no branch, tag or commit “v9”.")
    stranger = run(live_site, "f" * 64, "bank", "v1.0")
    assert stranger.stderr.startswith("not_authenticated: ")
