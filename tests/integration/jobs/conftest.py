"""Fixtures for jobs: a database in which commits are real, people, a dataset, and a kind of job for tests."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from datasets_app.models import Dataset, ExampleType, JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.jobs.kinds import _kinds
from tests.conftest import ROOT


@pytest.fixture
def curator(committed_db: str) -> User:
    user = User.objects.create_user("curator", is_staff=True)
    user.groups.add(Group.objects.get(name="curator"))
    return user


@pytest.fixture
def viewer(committed_db: str) -> User:
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="viewer"))
    return user


@pytest.fixture
def dataset(curator: User) -> Dataset:
    text = ExampleType.objects.get(name="text_classification")
    return create_dataset(name="queries", actor=curator, default_type=text)


@pytest.fixture
def own_kinds() -> Iterator[dict[str, Any]]:
    """The registry of kinds; what a test adds is forgotten after it."""
    before = dict(_kinds)
    yield _kinds
    _kinds.clear()
    _kinds.update(before)


@pytest.fixture
def other_session(committed_db: str) -> Iterator[psycopg.Connection[Any]]:
    """Another session on the test's database, in autocommit: what the rest of the world sees."""
    parameters = connection.get_connection_params()
    wanted = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
    with psycopg.connect(**wanted, dbname=committed_db, autocommit=True) as session:
        yield session


@pytest.fixture
def worker(committed_db: str) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts real workers on the test's database; what still runs at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        connection.ensure_connection()
        code = (
            "import os, django; from django.db import connections;"
            "from django.conf import settings; settings.DATABASES['default']['NAME'] = os.environ['TEST_DATABASE'];"
            "django.setup(); from django.core.management import call_command;"
            "call_command('procrastinate', 'worker', '--concurrency', '1', '--fetch-job-polling-interval', '0.2',"
            "             '--shutdown-graceful-timeout', '0.2')"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "goldenproject.settings.test",
                "TEST_DATABASE": committed_db,
            },
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def reaches() -> Callable[..., JobRun]:
    """Waits until a job is in a state (or one of several) and returns it."""

    def wait(job: JobRun, *states: str, timeout_s: float = 60) -> JobRun:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            job.refresh_from_db()
            if job.state in states:
                return job
            time.sleep(0.05)
        raise AssertionError(f"job is {job.state} after {timeout_s} s, expected {states}: {job.message}")

    return wait


@pytest.fixture(autouse=True)
def no_loop_of_the_browser() -> Iterator[None]:
    """Hide the event loop that Playwright leaves running in the thread of the tests: jobs bring their own."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)
