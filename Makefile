# The doors of the checkout; what they do is in scripts/. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test fuzz bench check lock docs clean
ARGS ?=

help: ## list these targets
	@sed -nE 's/^([a-z]+): ## (.*)/  make \1\t\2/p' Makefile | expand -t 16

# exec, so that Ctrl-C and SIGTERM reach edusec itself and make waits for its clean shutdown.
run: ## set up and start collector, agent and a first round here; ARGS=--once for one round
	@scripts/setup run
	@exec .venv/bin/edusec up $(ARGS)

test: ## set up and run the tests; ARGS="tests/wire -x" for some
	@scripts/setup dev
	@scripts/debian-packages
	@scripts/debian-unpacked
	@exec scripts/test $(ARGS)

fuzz: ## fuzz the parsers of strangers' bytes for long; FUZZ_RUNS=1000000 inputs each, or as many as you say
	@scripts/setup dev
	@FUZZ_RUNS=$${FUZZ_RUNS:-1000000} exec .venv/bin/python -m pytest tests/fuzz $(ARGS)

bench: ## run one measurement of bench/; ARGS="cli_start.py", docs/benchmarks.md lists them
	@test -f "bench/$(firstword $(ARGS))" || { echo 'say which: make bench ARGS="cli_start.py"' >&2; exit 2; }
	@scripts/setup dev
	@exec .venv/bin/python bench/$(ARGS)

check: ## the whole gate: style, types, floors, docs, tests, wheel
	@exec scripts/check

lock: ## pin the dependencies again; ARGS=--upgrade for the newest
	@scripts/setup dev
	@exec .venv/bin/python scripts/lock $(ARGS)

docs: ## write the tables in docs/ that come from the code
	@scripts/setup dev
	@exec .venv/bin/python scripts/docs

clean: ## remove the venv and what tools left behind
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
