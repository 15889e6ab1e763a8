"""The settings of the site that the labeling bench and the kill tests call: those of `make run`, and one address more."""

import os

for _rate in ("ANONYMOUS", "USER", "WRITE", "BULK", "STREAM"):
    os.environ.setdefault(f"GOLDEN_RATE_{_rate}", "1000000/sec")

from goldenproject.settings.dev import *  # noqa: E402, F403

ROOT_URLCONF = "tests.bench.labeling_urls"
