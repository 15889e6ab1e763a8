"""A step of the bench, done in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_step(module: str, name: str, *arguments: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run the step `name` of tests.bench.`module` and return what it found. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", name, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return dict(json.loads(line.removeprefix("RESULT ")))
