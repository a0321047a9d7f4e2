# The two commands of the README, demo and test, do all of their own set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := heliograph services tests tools
MINUTES ?= 30
SEED ?=
# A file is one worker's, with the clusters that its tests share; most tests wait more than they work.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
KERNEL_TESTS := $(BIN)/python -m pytest -p no:cacheprovider tests/wireguard -m wireguard_kernel

.PHONY: help setup packages demo test soak check generate site format controlplane lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/ready packages ## install into .venv, and packages if they are missing

packages: ## see to nft and ip, for networks, promtool, zsh and fish: on Debian, as root
	@$(PYTHON) tools/promtool.py > /dev/null || true
	@PATH="$$PATH:/usr/sbin:/sbin"; \
	if command -v nft > /dev/null && command -v ip > /dev/null && \
		command -v zsh > /dev/null && command -v fish > /dev/null; then exit 0; fi; \
	if ! [ -e /etc/debian_version ] || [ "$$(id -u)" != 0 ]; then \
		echo "Some of nft, ip, zsh and fish are missing, and tests of networks and of completion are skipped:" \
			"install nftables, iproute2, zsh and fish."; \
		exit 0; \
	fi; \
	echo "Installing what is missing of nftables and iproute2 (for networks), zsh and fish (for completion)."; \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
		apt-get -qq --yes --no-install-recommends install nftables iproute2 zsh fish > /dev/null || \
		echo "That failed; everything else works, and tests of networks and of completion are skipped."

$(VENV)/ready: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Heliograph needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# The file is complete. Without --no-deps, older pips reject it once a newer coverage[toml] is out.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## show the main job and peering on three small clusters, in seconds
	$(BIN)/heliograph demo

controlplane: setup ## build the laboratory's real programs (control planes, collector of traces); minutes the first time
	$(BIN)/python -m heliograph.lab.controlplane
	$(BIN)/python -m heliograph.lab.collector

test: setup ## run all tests, on real control planes too
	@# Without these programs their tests are skipped, and named; in CI that is a failure.
	@$(BIN)/python -m heliograph.lab.controlplane || test -z "$$CI"
	@$(BIN)/python -m heliograph.lab.collector || test -z "$$CI"
	@# The same with promtool, which tests the alert rules.
	@$(PYTHON) tools/promtool.py > /dev/null || test -z "$$CI"
	$(PYTEST) $(or $(PYTEST_ARGS),-m "not wireguard_kernel")
	@# The rest needs WireGuard in the kernel: the machine's, or Debian's under QEMU, in a minute or two.
	@# Not where a part was asked for. 69: nothing ran, and a sentence says why; in CI a failure.
	@test -n "$(PYTEST_ARGS)" || $(BIN)/python -m heliograph.lab.kernel $(KERNEL_TESTS) \
		|| { test $$? -eq 69 && test -z "$$CI"; }

soak: setup ## random faults for MINUTES (30), with the dice of SEED (any)
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

check: setup ## lint, format, types, import contracts, spelling, generated files, the site's links
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md docs deploy $(SOURCES)
	$(BIN)/python -m tools.generate --check
	$(BIN)/python -m tools.links
	$(BIN)/properdocs build --strict

generate: setup ## write what is generated from the code: the contract, reference pages
	$(BIN)/python -m tools.generate

site: setup ## build the site of docs/ into site/, and check its links
	$(BIN)/properdocs build --strict

format: setup ## put the code into its one form
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lock: setup ## renew the pinned versions, but none younger than a week
	$(BIN)/python -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet --disable-pip-version-check uv
	$(VENV)/lock/bin/python tools/lock.py

clean: ## remove what was installed and cached here
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
