# Of current, classic and onedl; see docs/compatibility.md.
STACK ?= current
# The tests that run, and how many processes run them; the stacks of test-stacks.
TESTS ?= tests
WORKERS ?= 2
STACKS ?= classic onedl
ENDING := $(if $(filter-out current,$(STACK)),-$(STACK))
# Not PYTHON: with that, a caller names the interpreter to build from.
RUN := .venv$(ENDING)/bin/python
REPORT := work_dirs/tests$(ENDING).xml
# Classifiers need no compiled operators: where nobody built or named a stack, their demonstration waits for none.
DEMO_STACK := $(if $(wildcard $(RUN))$(filter-out file,$(origin STACK)),$(STACK),lite)
DEMO_RUN := .venv$(if $(filter-out current,$(DEMO_STACK)),-$(DEMO_STACK))/bin/python
.DEFAULT_GOAL := help
.PHONY: help venv data evidence demo demo-det docs test test-all test-fast test-stacks test-cpus lint format audit clean
CPU_TESTS := tests/losses/test_metamorphic.py tests/losses/test_kl_div.py tests/losses/test_dense_kl.py \
  tests/distillers/test_shake.py tests/hooks/test_teacher_cache.py tests/proxies/test_every_proxy.py tests/connectors/test_every_connector.py

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

venv:  ## Build the environment and link it as .venv (STACK=classic, STACK=onedl: as .venv-classic, .venv-onedl)
	@STACK=$(STACK) bash tools/setup_env.sh

data: venv  ## Put Fashion-MNIST into data/fashion_mnist
	$(RUN) tools/dataset_prepare.py fashion-mnist

evidence: venv  ## Go on with the studies (MINUTES=60); GPU=1 with those of the paper's networks, at its 240 epochs
	$(RUN) -m analysis.evidence $(if $(GPU),--gpu,--cpu) --minutes $(or $(MINUTES),60)

demo:  ## Distill a small classifier (without .venv: in .venv-lite, where nothing is compiled)
	@STACK=$(DEMO_STACK) bash tools/setup_env.sh
	$(DEMO_RUN) tools/demo.py

demo-det: venv  ## Distill a small detector
	$(RUN) tools/demo_det.py

docs: venv  ## Build the documentation as docs/_build/html/index.html, beside it external_links.txt
	PYTHONPATH=. $(RUN) -m sphinx -W --keep-going -q -b html docs docs/_build/html

test: venv  ## Run the tests (STACK=… as for venv, TESTS=… those alone, WORKERS=2 processes)
	@rm -f $(REPORT)
	$(RUN) -m pytest $(TESTS) -n $(WORKERS) --dist loadfile --junitxml $(REPORT)

test-all: venv  ## Run the tests, also the slow ones: runs killed at many points
	$(RUN) -m pytest $(TESTS) -n $(WORKERS) --dist loadfile -m "slow or not slow"

test-stacks:  ## Run the tests on the two other stacks and note the outcome in docs/compatibility.md
	@failed=0; for stack in $(STACKS); do \
	  $(MAKE) test STACK=$$stack || failed=1; \
	  .venv-$$stack/bin/python -m tests.support.stack_table work_dirs/tests-$$stack.xml || failed=1; \
	done; exit $$failed

test-fast: venv  ## Run tests of what differs from BASE (main), within 3 minutes
	$(RUN) -m pytest $$($(RUN) -m tests.support.affected) -n $(WORKERS) --dist loadfile

test-cpus: venv  ## Run a few tests as on processors with SSE4.1, AVX2 and what this one has
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(RUN) -m pytest $(CPU_TESTS) -q -n $(WORKERS)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(RUN) -m pytest $(CPU_TESTS) -q -n $(WORKERS)
	$(RUN) -m pytest $(CPU_TESTS) -q -n $(WORKERS)

lint: venv  ## Check style, spelling and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m codespell_lib
	$(RUN) -m mypy

format: venv  ## Apply style
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

audit: venv  ## Check hashes and known vulnerabilities of what is installed
	$(RUN) tools/misc/audit.py

clean:  ## Remove what builds and tests leave; .venv and runs stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find analysis benchmarks shake_mm tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} +
