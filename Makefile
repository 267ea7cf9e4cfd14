# Two commands for a fresh machine (Python 3.11+, pip and make are enough): `make demo`, `make test`.

# The first interpreter on PATH that is new enough; with none of them, python3 hears why.
PYTHON ?= $(firstword $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name; done) python3)
RUN = .venv/bin/python

.PHONY: demo main-job test kill-test lint bench spec runtime develop lock clean

demo: runtime  ## the whole product with a made-up district, until Ctrl-C
	@$(RUN) -m config.local.demo

main-job: runtime  ## a roster in, a printed report out, without a browser
	@$(RUN) -m config.local.main_job

test: develop  ## every test but the slow ones
	$(RUN) -m pytest -n 3 --dist worksteal

# Twenty minutes on two cores. KILLS, RESTARTS and RECIPIENTS set the size of the first.
kill-test: develop  ## kill -9 in full size, with its figures; and the two real incidents
	$(RUN) -m pytest -s -m "slow or not slow" tests/end_to_end/test_kill.py tests/crash
	$(RUN) -m pytest -m "slow or not slow" -k "sequoia or broward" tests

lint: develop  ## style, types, import rules, and no registry host in any file
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports
	$(RUN) -m tests.registry_hosts

bench: develop  ## figures beside the raw limit of the same run (ONLY=P1,P6 SCALE=full)
	$(RUN) -m tests.bench

spec: develop  ## which row of the specification which test proves
	@$(RUN) -m tests.spec_plugin

runtime:
	@$(PYTHON) config/local/bootstrap.py requirements.txt

develop:
	@$(PYTHON) config/local/bootstrap.py requirements-dev.txt

# Needs uv; the locks name no host and no URL.
lock:
	uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" -o requirements.txt pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --group dev \
		-c requirements.txt --custom-compile-command "make lock" -o requirements-dev.txt pyproject.toml

clean:
	rm -rf var .venv
