# Two commands on a fresh machine: `make run` and `make test`. Needs Python 3.11 or newer, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
PYTEST_ARGS ?=

# Where the machine forbids compiled files, each of the many processes of a run would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test test-slow check bench clean

help:
	@echo "make run    start everything on http://127.0.0.1:8000/"
	@echo "make test   run the tests but the slow ones (PYTEST_ARGS=… adds arguments)"
	@echo "make test-slow  run the slow ones: browsers, kills, whole processes"
	@echo "make check  lint, types, import contracts, migrations, deployment checks"
	@echo "make bench  measure; prints a table and writes JSON"
	@echo "make setup  only make the virtual environment in $(VENV)"
	@echo "make clean  remove the virtual environment and caches; never the data"

setup: $(STAMP)

# The stamp holds the checksum of the lock: a fresh clone's time stamps say nothing.
$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Found $$($(PYTHON) --version 2>&1 || true), expected Python 3.11 or newer. Install it, or name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@if [ "$$(cat $(STAMP) 2>/dev/null)" = "$$(cksum < requirements.lock)" ] && [ -x $(BIN)/python ]; then touch $(STAMP); exit 0; fi; \
	if [ ! -x $(BIN)/python ]; then \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	  $(PYTHON) -m venv $(VENV) || exit 1; \
	fi; \
	echo "Installing the locked dependencies into $(VENV) …"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock || exit 1; \
	cksum < requirements.lock > $(STAMP)

run: setup
	@exec $(BIN)/python manage.py golden_serve

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) -q -m "not slow" $(PYTEST_ARGS)

test-slow: setup
	$(BIN)/python -m pytest -n $(WORKERS) -q -m slow $(PYTEST_ARGS)

# The production settings are checked with values that serve for this alone.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy goldenproject datasets_app labeling_app exports_app manage.py
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	@echo "manage.py check --deploy"; \
	GOLDEN_SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
	GOLDEN_ALLOWED_HOSTS=golden.example.org DJANGO_SETTINGS_MODULE=goldenproject.settings.prod \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

bench: setup
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
