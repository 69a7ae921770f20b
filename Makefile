# Every target sets up what it needs. Rust, gcc, git and make are enough; an installed PostgreSQL is used, else one is
# fetched.

.PHONY: help dev demo test test-long test-browser tag check queries prepare bench bench-tag build template deploy
.DEFAULT_GOAL := help

DEV := cargo run --quiet --package dev --
WITH_POSTGRES := cargo run --quiet --package services -- with-postgres

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## Everything on this machine: endpoints, schedule, database, a sandbox Google (PORT=8080)
	@sh dev/services/install.sh postgres
	@$(DEV) serve

demo: ## Plays the whole story against a running `make dev`
	@$(DEV) demo

test: ## All tests, against a real Postgres and a real PgBouncer
	@sh dev/services/install.sh postgres pgbouncer
# The stories run the functions' binaries, which cargo test alone doesn't build.
	@cargo build --workspace --bins --tests
	@$(WITH_POSTGRES) cargo test --workspace

test-long: export ADTRAIL_TEST_LONG := 1
test-long: target/schemathesis/installed test ## The same, the longest stories at their full size, and schemathesis

# Needs Python.
target/schemathesis/installed: dev/tests/openapi/schemathesis/requirements.txt
	@python3 -m venv --clear target/schemathesis
	@target/schemathesis/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

test-browser: target/tracker/installed ## The tag in Chromium, against the real endpoints and a real Postgres (needs Node)
	@sh dev/services/install.sh postgres chromium
	@cargo build --quiet --package dev --package services --bins
# Each with a database of its own, because rows are counted.
	@$(WITH_POSTGRES) node --test --test-timeout=300000 $(filter-out %/demo.test.js,$(wildcard tracker/tests/*.test.js))
	@$(WITH_POSTGRES) node --test --test-timeout=300000 tracker/tests/demo.test.js

tag: target/tracker/installed ## Builds tracker/dist from tracker/t.js (needs Node)
	@cd tracker && node build.js

target/tracker/installed: tracker/package-lock.json
	@cd tracker && npm ci --silent --no-audit --no-fund
	@mkdir -p $(@D) && touch $@

check: ## Formatting, lints, and whether shared/.sqlx fits the migrations
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@$(MAKE) --no-print-directory queries

queries:
	@sh dev/services/describe-queries.sh target/described-queries
	@diff -r shared/.sqlx target/described-queries || { echo 'shared/.sqlx is out of date: run make prepare'; exit 1; }

prepare: ## Renews shared/.sqlx after a query or a migration changed
	@sh dev/services/describe-queries.sh shared/.sqlx

bench: ## Round trips, latencies, memory, the queue, and with Node the tag
	@sh dev/services/install.sh postgres pgbouncer
	@cargo build --quiet --release --workspace
	@cargo run --quiet --release --package dev -- bench
	@if command -v node >/dev/null; then $(MAKE) --no-print-directory bench-tag; else echo 'tag        not measured: no Node'; fi

bench-tag: target/tracker/installed ## What the tag costs a page: bytes, requests, time (needs Node)
	@sh dev/services/install.sh chromium
	@node tracker/bench.js

build: ## The functions as zips for Lambda (needs cargo-lambda)
	cargo lambda build --release --output-format zip

template: export SAM_CLI_TELEMETRY := 0
template: target/sam/installed target/checkov/installed ## SAM, cfn-lint and checkov on the templates, and the documents' commands (needs Python)
	target/sam/bin/sam validate --lint --region us-east-1
	target/sam/bin/cfn-lint template.yaml dev/deploy/github.yaml
	@target/sam/bin/python dev/deploy/check-commands.py
	target/checkov/bin/checkov --config-file .checkov.yaml

# In a workflow nobody is there to agree, and CloudFormation has a role of its own.
UNATTENDED := $(if $(CI),--no-confirm-changeset) $(if $(AWS_STACK_ROLE_ARN),--role-arn $(AWS_STACK_ROLE_ARN))
# Asks for the parameters if samconfig.toml has none, where `adtrail setup` writes them, and keeps the answers there.
deploy: export SAM_CLI_TELEMETRY := 0
deploy: export PATH := $(CURDIR)/target/sam/bin:$(PATH)
deploy: target/sam/installed ## Builds the functions and deploys them to AWS: docs/deploy.md (needs Python)
	sam build
	sam deploy $(if $(shell grep -s '^parameter_overrides' samconfig.toml),,--guided) $(UNATTENDED)

# SAM, with the cargo-lambda and the linker it builds with; checkov apart, because each wants other versions.
target/sam/installed target/checkov/installed: target/%/installed: dev/deploy/%/requirements.txt
	@python3 -m venv --clear target/$*
	@target/$*/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
