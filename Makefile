# Every target sets up what it needs: a virtual environment from requirements.txt (Node.js included) and
# the CDK command line from package-lock.json. Nothing but Python 3.11+ and make has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
CHECKOV := .venv-checkov
PYTHONS ?= 3.11 3.12 3.13 3.14
RELEASE := .venv-release
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
# Some machines set it, and then every command, synth and function compiles the checkout's code anew.
unexport PYTHONDONTWRITEBYTECODE
LOCAL_PORT ?= 4566
LOCAL_PROFILE ?= kind
# uv does not read pip's settings.
UV_INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(PIP_INDEX_URL),--default-index $(PIP_INDEX_URL))
UNIT := not integration and not vllm and not documents
FROM ?= HEAD^
SEED ?=
TAG ?=
WORKFLOWS := $(wildcard .github/workflows/*.yml)

.DEFAULT_GOAL := help
.PHONY: help setup demo local unit coverage test test-hostile test-clients test-suites test-docs test-evolutions test-examples test-local test-random-order test-alone test-pythons test-release test-upgrade test-vllm test-aws nightly check lint types imports check-docs checkov bench lock docs reference snapshots wheel dist release-tag clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# An environment that was not finished, or whose Python is gone, is made anew.
$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, got " + sys.version)'
	@test -e $@ && $(BIN)/python -c pass || rm -rf $(VENV)
	@rm -f $@
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@# Debian's Python has no ensurepip without python3-venv, but may have pip. `python3` is that of $(VENV) by now.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip || \
	    "$$($(BIN)/python -c 'import sys; print(sys._base_executable)')" -m pip --quiet --python $(BIN)/python install pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[^ ]*' requirements.txt)"
	$(UV_INSTALL) --requirement requirements.txt || $(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(UV_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.installed: package.json package-lock.json .npmrc $(VENV)/.installed
	npm ci --loglevel=error
	@touch $@

setup: $(VENV)/.installed node_modules/.installed  ## install everything into .venv and node_modules

# Clients that others wrote pin half of PyPI, so each has an environment of its own.
$(CLIENTS)/%/installed.json: tests/clients/requirements/%.txt $(VENV)/.installed
	python -m tests.clients.environments $*
	touch $@

# 300 MB, within some seconds.
$(VENV)/.evaluation: tests/cli/evaluation/packages.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/cli/evaluation/packages.txt
	touch $@

demo: setup  ## deploy, talk, update, remove and destroy on the embedded cloud; exit 0 only if all was as expected
	python -m examples.demo

local: setup  ## run the embedded cloud in the foreground (LOCAL_PORT=4566 LOCAL_PROFILE=kind)
	local-sagemaker --port $(LOCAL_PORT) --profile $(LOCAL_PROFILE)

# Two for two cores: nothing waits, and a third would only import the tests and the CDK once more.
unit: setup  ## the tests that need no embedded cloud and take less than half a second
	python -m pytest -n 2 --dist loadfile --hypothesis-profile=quick -m '$(UNIT) and not slow'

coverage: setup  ## measure which lines the tests without deployments run; it judges nothing
	python -m pytest -n 2 --dist loadfile -m '$(UNIT)' --cov --cov-report=
	python -m pytest -n 2 --dist loadfile -m '$(UNIT)' --cov --cov-append --cov-report=term:skip-covered tests/local

# A file at a time, as the tests of one share what they deploy. Four for two cores, as half of the time that
# deployments take is waiting. tests/conftest.py puts the files that take longest first.
test: setup $(VENV)/.evaluation  ## the tests of the library
	python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --junitxml=build/tests.xml

test-local: setup  ## the tests of the embedded cloud itself
	python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --junitxml=build/local.xml tests/local tests/vllm

# SEED=7 repeats a run.
test-random-order: setup $(VENV)/.evaluation  ## `make test` and `make test-local` in a random order
	for folders in '' 'tests/local tests/vllm'; do \
	    python -m pytest -p randomly $(if $(SEED),--randomly-seed=$(SEED)) -n 4 --dist loadfile $$folders || exit 1; \
	done

test-alone: setup $(VENV)/.evaluation  ## each file of both in a process of its own
	python -m tests.alone

# tests/profiles.py tells what the tests do differently there.
test-hostile: setup $(CLIENTS)/sagemaker-2/installed.json $(VENV)/.evaluation  ## the integration tests with the embedded cloud's profile `hostile`
	TEST_PROFILE=hostile python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m integration tests/integration tests/cli

test-suites: setup  ## moto's own tests and the features of the CDK command line, on the embedded cloud (MOTO=a checkout, where GitHub is out of reach)
	python -m pytest tests/suites

test-clients: setup  ## clients and notebooks that others wrote, each in an environment of its own, and record in the guides what they can do (NOTEBOOKS=a checkout, where GitHub is out of reach)
	RECORD=1 python -m pytest tests/clients/test_clients.py tests/clients/test_gateway.py tests/clients/test_notebooks.py
	python -m pytest tests/clients/test_recorded.py

nightly: setup $(VENV)/.evaluation  ## look for faults that a fleet does not survive, files that a check does not and calls that the embedded cloud does not, other ones every time; long loads
	NIGHTLY=1 python -m pytest -n 3 tests/adapter_fleet/fleet/reconcile/test_reconciler_under_faults.py tests/adapter_fleet/fleet/reconcile/test_releases_under_faults.py
	NIGHTLY=1 python -m pytest tests/adapter_fleet/artifacts/checks/test_adapter_check_fuzzed.py tests/adapter_fleet/artifacts/checks/test_bad_adapters.py tests/cli/evaluation/test_statistics.py tests/cli/load/test_benchmark.py
	NIGHTLY=1 python -m pytest --log-cli-level=INFO tests/local/control_plane/test_random_calls.py
	NIGHTLY=1 python -m pytest -m 'documents or not documents' tests/docs/site
	NIGHTLY=1 python -m pytest --log-cli-level=INFO tests/integration/test_many_adapters.py tests/integration/test_update_under_load.py tests/integration/test_releases.py tests/integration/test_many_scaled_adapters.py
	for profile in kind hostile; do TEST_PROFILE=$$profile python -m pytest tests/aws || exit 1; done
	NIGHTLY=1 python -m pytest tests/integration/test_scaled_copies.py tests/integration/test_fleet_monitoring.py tests/integration/test_evaluation.py tests/integration/test_cdk_gc.py tests/integration/test_two_base_models.py

test-docs: setup $(CLIENTS)/sagemaker-2/installed.json $(VENV)/.evaluation  ## run the commands of README and docs on the embedded cloud, build the site, and say which blocks nothing runs
	python -m pytest tests/docs tests/examples tests/constructs tests/integration -m documents
	python -m tests.docs

test-evolutions: setup  ## deploy every kind of change under both profiles, and ask who answers meanwhile and afterwards
	python -m pytest tests/evolutions

# They deploy, and take some minutes. EXAMPLES="01 05" runs these.
test-examples: setup  ## take each numbered example out of the checkout, with the wheel alone, and run its tests there
	python -m tests.examples $(EXAMPLES)

test-vllm: setup  ## the tests of the embedded cloud's engine `vllm`, and record their result in the guide; skipped where vLLM cannot be installed
	RECORD=1 python -m tests.vllm

test-upgrade: setup  ## deploy the app of an earlier commit and update it to this one (FROM=HEAD^)
	FROM=$(FROM) python -m pytest tests/upgrade

# uv finds each Python or downloads it; PYTHONS="3.12 3.13" chooses some.
test-pythons: setup  ## the tests without deployments on every supported Python
	for version in $(PYTHONS); do \
	    bin=$(CURDIR)/.venv-pythons/$$version/bin; \
	    uv venv --quiet --seed --allow-existing --python $$version .venv-pythons/$$version && \
	    uv pip install --quiet --python $$bin/python --requirement requirements.txt && \
	    uv pip install --quiet --python $$bin/python --no-deps --no-build-isolation --editable . && \
	    PATH=$$bin:$$PATH python -m pytest -q -n 2 --dist loadfile -m '$(UNIT)' && \
	    PATH=$$bin:$$PATH python -m pytest -q -n 2 --dist loadfile -m '$(UNIT)' tests/local || exit 1; \
	done

$(RELEASE)/.installed: tests/release/tools.txt $(VENV)/.installed
	test -x $(RELEASE)/bin/python || $(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/pip install --quiet --disable-pip-version-check -r tests/release/tools.txt
	touch $@

test-release: setup $(RELEASE)/.installed  ## build the distributions twice; check contents, metadata and types, as a consumer has them
	python -m pytest tests/release

# docs/proven.md says what it needs.
test-aws: setup  ## answer the open questions about SageMaker in the account of the environment, which costs money
	ACCOUNT=1 python -m pytest tests/aws

check: lint types imports docs check-docs test  ## what CI runs

lint: setup
	ruff check .
	ruff format --check .
	check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	zizmor --quiet --offline $(WORKFLOWS)

# The two source roots that ship in different places are checked each on its own, then the rest. So are the
# numbered examples: each has an `app`.
types: setup
	mypy constructs/multi_adapter_inference
	mypy lambda/adapter_fleet
	mypy cli/adapters_cli local/local_sagemaker stacks app.py examples bench docs/site tests
	for example in examples/[0-9]*; do mypy $$(find $$example -name '*.py') || exit 1; done

imports: setup
	lint-imports

# checkov needs older releases of what the lock pins, so it has an environment of its own, and no part in `check`.
$(CHECKOV)/.installed:
	test -x $(CHECKOV)/bin/python || $(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/pip install --quiet --disable-pip-version-check 'checkov>=3.3,<4'
	touch $@

checkov: setup $(CHECKOV)/.installed  ## look for insecure settings in the templates; .checkov.yaml has the answered ones
	for file in environments/*.toml; do \
	    cdk synth --quiet -c environment=$$(basename $$file .toml) --output cdk.out/checkov/$$(basename $$file .toml) || exit 1; \
	done
	$(CHECKOV)/bin/checkov --config-file .checkov.yaml --directory cdk.out/checkov

bench: setup  ## measure every claim; tables here, figures in bench/results
	python -m bench

lock: setup  ## pin the newest versions that pyproject.toml and package.json allow
	uv pip compile --quiet --upgrade --generate-hashes pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	    --no-header --no-emit-index-url -o requirements.txt
	for wanted in tests/clients/requirements/*.in; do \
	    uv pip compile --quiet --upgrade $$wanted --universal --python-version 3.11 \
	        --no-header --no-annotate --no-emit-index-url -o $${wanted%.in}.txt || exit 1; \
	done
	printf 'check-wheel-contents\ntwine\n' | uv pip compile --quiet --upgrade - --universal --python-version 3.11 \
	    --no-header --no-annotate --no-emit-index-url -o tests/release/tools.txt
	npm install --package-lock-only

check-docs: setup  ## the tests of the documents that deploy nothing: what is generated is as the code, blocks are what the product takes
	python -m pytest -n 2 --dist loadfile -m 'documents and not integration' tests/docs tests/examples tests/constructs

docs: setup  ## build the site of the documents into build/docs/site; a dead link or anchor is an error
	python -m docs.site

reference: setup  ## write the generated pages of docs/reference anew: constructs, commands, environment files, testing
	python -m docs.site.reference

snapshots: setup  ## rewrite the template snapshots; read the diff before committing it
	python -m pytest tests/stacks --snapshot-update

wheel: setup  ## build the wheel into dist/
	python -m build --wheel --no-isolation

# The wheel is built from the source distribution, so both hold the same code.
dist: setup  ## build the source distribution and the wheel of a release into dist/
	rm -rf dist
	python -m build --no-isolation

# A tag may have any characters, so the shell reads it as a variable.
release-tag: setup  ## check that TAG names the version, and the newest release of the changelog
	python -m tests.release.tag "$$TAG"

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(CLIENTS) $(CHECKOV) $(VLLM) $(RELEASE) .venv-pythons node_modules cdk.out build dist
