# Every target does its own set-up: a machine with Python 3.11 to 3.13 and make is enough.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
UV_COMPILE := $(VENV)/bin/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --quiet

PICTURES := empty-1280 connect-square-1280 well-1280 broken-1280 mapping-preview-1280

.PHONY: help setup demo test coverage dev bench lint lock pictures

help:
	@echo "make setup   the virtual environment, .venv/, from requirements.lock"
	@echo "make demo    three venues synced end to end from the sandbox; prints what landed"
	@echo "make dev     everything up on this machine; prints the URLs; Ctrl-C stops it"
	@echo "make test    every test (PYTEST_ARGS is passed on to pytest)"
	@echo "make coverage  the same, counting what they reach: takes about twice as long"
	@echo "make bench   the benchmarks, as tables and as JSON under benchmarks/results/"
	@echo "make lint    style, types and import contracts"
	@echo "make pictures  the README's, taken anew from the portal as it runs"
	@echo "make lock    resolve requirements.lock again after a change of pyproject.toml"

setup: $(STAMP)

demo: $(STAMP)
	@$(PYTHON) -m development.demo

dev: $(STAMP)
	@exec $(PYTHON) -m development.dev

# A file's tests share a process, and with it servers and databases.
PYTEST := $(PYTHON) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST) $(PYTEST_ARGS)

# Fails below the share that pyproject.toml sets.
coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term $(PYTEST_ARGS)

bench: $(STAMP)
	$(PYTHON) -m benchmarks $(BENCH_ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

pictures: $(STAMP)
	@set -e; taken=$$(mktemp -d); \
	SCREENSHOTS=$$taken $(PYTHON) -m pytest -q tests/oauth_portal/test_browser.py; \
	for name in $(PICTURES); do cp $$taken/$$name.png oauth_portal/pictures/; done; \
	rm -r $$taken

lock: $(STAMP)
	$(UV_COMPILE) pyproject.toml --group dev --output-file requirements.lock

# uv installs the lock in seconds where pip takes minutes; where uv cannot reach an index that pip
# is configured for, pip does it. Both accept only the files whose hashes the lock names.
$(STAMP): requirements.lock requirements-bootstrap.lock pyproject.toml
	@set -e; \
	if [ ! -x $(PYTHON) ]; then \
		python=; \
		for name in python3.11 python3.12 python3.13 python3 python; do \
			if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
				2>/dev/null; then python=$$name; break; fi; \
		done; \
		if [ -z "$$python" ]; then \
			echo "Python 3.11, 3.12 or 3.13 is needed and none is on PATH: install one" \
				"(Debian: apt-get install python3.11 python3.11-venv)" >&2; exit 1; fi; \
		$$python -m venv $(VENV) || { rm -rf $(VENV); \
			echo "$$python cannot make a virtual environment: install its venv package" \
				"(Debian: apt-get install python3-venv)" >&2; exit 1; }; \
	fi
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		-r requirements-bootstrap.lock
	$(VENV)/bin/uv pip install --python $(PYTHON) --require-hashes --no-deps \
		-r requirements.lock \
	|| $(PYTHON) -m pip install --disable-pip-version-check --require-hashes --no-deps \
		-r requirements.lock
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--editable .
	@touch $@
