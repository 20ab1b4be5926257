# `make help` lists every target.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What pip says of the user and of its own age helps nobody here.
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help demo test lint bench bench-long chaos fuzz live live-all shots site servers spark schemas lock sbom clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/runtime ## run the main job on the recorded traffic of the lab; no server, no root
	@echo "[1/2] judging the recorded traffic: half a minute the first time, then seconds"
	@begin=$$(date +%s); PYTHONWARNINGS=ignore $(BIN)/verdict run --replay || exit; \
		echo "[2/2] done in $$(( $$(date +%s) - begin )) s: open var/report/index.html in a browser"

test: $(VENV)/dev servers ## run all tests, on real servers where they can be installed
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev ## formatting, lint, types, the direction of imports, known advisories
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/audit.py

bench: $(VENV)/dev servers spark ## print ratios of speed and memory, in their short form
	@for name in "news --quick" "many_users --quick" warehouse_opening look_cost "judge_speed --metrics 2000" \
		"spark_engine --quick"; do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

bench-long: $(VENV)/dev servers spark ## print ratios of speed, memory and decision quality; hours
	@for module in benchmarks/*.py; do \
		name=$$(basename $$module .py); \
		case $$name in __init__|results|processes) continue;; esac; \
		 $(BIN)/python -m benchmarks.$$name || exit 1; done

chaos: $(VENV)/dev servers ## kills, full disks and misbehaving servers by the hundred; half an hour
	@$(BIN)/python -m tests.chaos

fuzz: $(VENV)/dev ## ten minutes of damaged specs, manifests, files, answers and requests
	@$(BIN)/python -m tests.fuzz

live: $(VENV)/dev servers ## the whole job on real traffic, three canaries in under 5 minutes; or KIND=name
	@$(BIN)/python -m tests.lab.live $(KIND)

live-all: $(VENV)/dev servers ## the same for all that can happen to a canary, and every strategy
	@$(BIN)/python -m tests.lab.live --all

shots: $(VENV)/dev ## pages and terminal as pictures in build/shots; AXE=axe.min.js checks pages too
	@$(BIN)/python -m scripts.shots $(if $(AXE),--axe $(AXE))

servers: ## install what the tests need, where it may be installed
	@scripts/install-servers

spark: $(VENV)/dev ## install a Spark cluster's software into build/spark, for the benchmarks
	@scripts/install-spark $(BIN)/python build/spark

schemas: $(VENV)/runtime ## write the JSON Schemas and the reference pages anew
	@$(BIN)/verdict schema > schemas/experiment.schema.json
	@for name in verdict aggregates scorecard calibration; do \
		$(BIN)/verdict schema --$$name > schemas/$$name.schema.json || exit 1; done
	@$(BIN)/verdict export --dictionary > docs/reference/data-dictionary.md
	@$(BIN)/python -m scripts.reference

site: $(VENV)/dev ## the documentation as a site in build/site, checked strictly
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q
	@echo build/site/index.html

lock: ## resolve the lock files anew (needs uv)
	@uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --extra build pyproject.toml -o requirements.lock
	@uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --extra build --extra dev --extra notebook -c requirements.lock \
		pyproject.toml -o requirements-dev.lock
	@sed -i "s/^atheris==[^ ]*/& ; sys_platform == 'linux' and platform_machine == 'x86_64'/" \
		requirements-dev.lock
	@printf 'pip\nsetuptools\n' | uv pip compile -q --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --python-version 3.11 -c requirements-dev.lock \
		- -o requirements-venv.lock

sbom: $(VENV)/dev ## write what is installed to run as CycloneDX, to build/sbom.cdx.json
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
		--output-reproducible --of JSON -o build/sbom.cdx.json requirements.lock
	@echo build/sbom.cdx.json

clean: ## remove what demo and live wrote
	@rm -rf var verdicts

$(VENV)/python: requirements-venv.lock
	@scripts/make-venv $(PYTHON) $(VENV)
	@touch $@

$(VENV)/runtime: $(VENV)/python requirements.lock pyproject.toml
	@echo "installing packages into $(VENV) (once; about a minute)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock
	@echo "installing what the tests need into $(VENV) (once; about a minute)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
