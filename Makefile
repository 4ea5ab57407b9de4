PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help venv demo demo-det test test-all lint format audit clean

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

venv:  ## Build the environment and link it as .venv
	@bash tools/setup_env.sh

demo: venv  ## Distill a small classifier
	$(PYTHON) tools/demo.py

demo-det: venv  ## Distill a small detector
	$(PYTHON) tools/demo_det.py

test: venv  ## Run the tests
	$(PYTHON) -m pytest tests -n 2 --dist loadfile

test-all: venv  ## Run the tests, also the slow ones: runs killed at many points
	$(PYTHON) -m pytest tests -n 2 --dist loadfile -m "slow or not slow"

lint: venv  ## Check style
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: venv  ## Apply style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

audit: venv  ## Check hashes and known vulnerabilities of what is installed
	$(PYTHON) tools/misc/audit.py

clean:  ## Remove what builds and tests leave; .venv and runs stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find analysis benchmarks shake_mm tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} +
