"""Settings for pytest: fast hashing, no lock-out, no limits of rate; the database is the affair of tests/conftest.py."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from goldenproject.database import make_data_dir

# Before the base reads the environment: tests never touch the installation's own data.
# One server per checkout and user, shared by the parallel workers, stopped by the last of them. It lies in memory where
# there is plenty: hundreds of tests copy a database of a thousand files. TMPDIR names another place, for tests at scale.
_KEY = hashlib.sha256(f"{os.getuid()} {Path(__file__).resolve()}".encode()).hexdigest()[:12]
_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is closed to others, like one in /tmp
_ENOUGH_BYTES = 8 * 2**30
_IN_MEMORY = (
    "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).total >= _ENOUGH_BYTES
)
_PLACE = _MEMORY if _IN_MEMORY else Path(tempfile.gettempdir())
os.environ["GOLDEN_DATA_DIR"] = str(_PLACE / f"golden-tests-{_KEY}")
os.environ["GOLDEN_POSTGRES_DURABLE"] = "no"

from goldenproject.settings.base import *  # noqa: E402, F403
from goldenproject.settings.base import (  # noqa: E402
    AUTHENTICATION_BACKENDS,
    DATABASES,
    GOLDEN_DATA_DIR,
    REST_FRAMEWORK,
    STATIC_ROOT,
)

make_data_dir(GOLDEN_DATA_DIR)
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns when it is missing

SECRET_KEY = "for-tests-only"  # noqa: S105
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTHENTICATION_BACKENDS = [name for name in AUTHENTICATION_BACKENDS if not name.startswith("axes.")]
AXES_ENABLED = False
REST_FRAMEWORK = copy.deepcopy(REST_FRAMEWORK)
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = dict.fromkeys(REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"])
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # else each client of a test would look up all static files when it is made
DATABASES = copy.deepcopy(DATABASES)
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"]["OPTIONS"].pop("pool", None)
