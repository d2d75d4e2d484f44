# What people and pipelines type. Every recipe is thin: the work is done by .ci/, pulumi/, playbooks/ and the xmppgw package.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Ansible insists on a UTF-8 locale, and the tree must not depend on the caller's.
export LC_ALL := C.UTF-8
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

python := .venv/bin/python
playbook := .ci/alone .ci/probed playbooks
accepting = $(if $(ACCEPT),-e accept=$(ACCEPT) -e "reason='$(REASON)'")

.PHONY: help lab test check test-all lab-up migrate plan rollback status lab-down preview bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile
	@echo; echo "Root and Debian 12 or newer: lab, test, test-all and the parts of the lab. Neither: check, preview."

lab: ## a fresh lab, migrated under live two-way traffic, and a report of it in out/lab/report.html
	@.ci/setup --for lab
	@.ci/alone .ci/lab

test: ## the whole suite, the lab's included (at most 25 minutes)
	@.ci/setup --for test
	@.ci/test $(PYTEST)

check: ## lint and the quick tests; no root, no lab (some 3 minutes on two free cores)
	@.ci/setup --for check
	@.ci/check $(PYTEST)

test-all: ## the whole suite and the long walks; killed and started again, it goes on
	@.ci/setup --for test
	@.ci/test-all $(PYTEST)

.PHONY: lint lint-azure
lint-azure:
	@sed '/follow_imports = "skip"/d' pyproject.toml >build/pyproject.toml # mypy tells the format by the name
	@.venv/bin/mypy --no-error-summary --strict --config-file build/pyproject.toml pulumi/xmpp_infra pulumi/policy/rules.py
lint:
	@.venv/bin/ruff check --quiet --output-format concise gateway pulumi playbooks tests
	@.ci/lint-playbooks & playbooks=$$!; .venv/bin/mypy --no-error-summary --strict gateway/xmppgw pulumi/standalone pulumi/lab_provider pulumi/xmpp_infra pulumi/policy pulumi/__main__.py && wait $$playbooks

lab-up: ## bring the lab up, or what is missing of it
	@.ci/setup --for lab
	@.ci/alone .ci/stack up lab

lab-down: ## take the lab down; nothing of it is left outside this folder
	@[ -e .venv/.made-from ] || .ci/setup --for check
	@.ci/alone .ci/stack destroy lab

migrate: ## run the six steps against the lab under traffic; PLAN=<digest> applies just that plan, UNTIL=n stops after a step, CONFIRM=5,6 goes past holds, ACCEPT=code REASON=why overrides a guard
	@.ci/setup --for lab
	@$(playbook)/migrate.yml $(if $(PLAN),-e plan=$(PLAN)) $(if $(UNTIL),-e last_step=$(UNTIL)) $(if $(CONFIRM),-e confirm=$(CONFIRM)) $(accepting)

rollback: ## take steps back until TO=n steps are done; TO=0 takes back all
	@[[ "$(TO)" =~ ^[0-5]$$ ]] || { echo "make rollback TO=n, where n is 0 to 5: found TO='$(TO)'" >&2; exit 2; }
	@$(playbook)/rollback.yml -e to=$(TO)

plan: ## write out/plan/plan.json and plan.md: what migrate would do, with its digest
	@.ci/setup --for lab
	@.ci/playbook playbooks/plan.yml $(accepting)

status: ## where the migration stands
	@.ci/playbook playbooks/status.yml

preview: ## STACK=name: the stack's resources and policy results in out/preview/, offline
	@[[ "$(STACK)" =~ ^[a-z0-9-]+$$ ]] || { echo "make preview STACK=name: found STACK='$(STACK)'" >&2; exit 2; }
	@.ci/setup --for $(if $(filter azure-%,$(STACK)),azure,check)
	@.ci/stack preview $(STACK)

bench: ## measure codecs, the message path beside Prosody, memory, a large plan (out/bench/bench.json)
	@.ci/setup --for test
	@$(python) -m tests.benchmarks

clean: ## remove what set-up and runs made here, images included (take the lab down first)
	@[ ! -e .lab ] || { echo "there is a lab: make lab-down first" >&2; exit 1; }
	@rm -rf .venv .cache build out .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible
