# The only commands people need. Each one installs what it misses and says what it does.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Slow downloads and builds outlive a clone: keyed by content, so a second run is quick.
export HOME := $(or $(HOME),$(shell echo ~))
export LLMCACHE_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/llmcache
export CARGO_TARGET_DIR ?= $(LLMCACHE_CACHE)/target
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

# In CI the committed Cargo.lock is the truth; at a desk cargo may still add to it.
LOCKED := $(if $(CI),--locked)
export LLMCACHE_CARGO_FLAGS := $(LOCKED)

.PHONY: help run test lint bench eval e2e generate images

help: ## Show this list
	@printf 'llmcache: make COMMAND\n\n'
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 14
	@printf '\nDownloads and builds are kept in %s\n' '$(LLMCACHE_CACHE)'

run: ## Play sample traffic through llmcache and show what it saves (ARGS=--once ends there, DATA=dir plays agent traces)
	@tests/setup/packages.sh rust python
	@echo 'building kubectl-llmcache and the player (release, kept in $(CARGO_TARGET_DIR))'
	@cargo build --release $(LOCKED) -p llmcache-cli -p llmcache-tests --bin kubectl-llmcache --bin demo
	@LLMCACHE_MODEL_DIR=$$(tests/setup/model.sh) && export LLMCACHE_MODEL_DIR && \
	  exec "$$CARGO_TARGET_DIR/release/demo" $(if $(DATA),--data '$(DATA)') $(ARGS)

test: ## Check format, lints, generated files and policies, run every test, end with a summary
	@tests/setup/packages.sh rust redis python node curl api
	@exec tests/setup/test.sh

lint: ## Check format, clippy and the example policies
	@tests/setup/packages.sh rust
	@tests/setup/lint.sh

bench: ## Measure against direct calls and nginx, beside the targets (ARGS go to the bench)
	@tests/setup/packages.sh rust python redis nginx
	@cargo build --release $(LOCKED) -p llmcache-cli -p llmcache-tests --bin kubectl-llmcache --bin bench
	@LLMCACHE_MODEL_DIR=$$(tests/setup/model.sh) && export LLMCACHE_MODEL_DIR && \
	  exec "$$CARGO_TARGET_DIR/release/bench" $(ARGS)

eval: ## Measure the semantic cache on labelled questions (DATA=dir adds banking-intents and question-pairs-dev)
	@tests/setup/packages.sh rust python
	@exec tests/setup/eval.sh '$(DATA)'

e2e: ## Run the tests on a real node, as root (UPGRADE_FROM=revision also upgrades from it, ARGS go to the tests)
	@tests/setup/packages.sh rust redis python api
	@LLMCACHE_E2E=$${LLMCACHE_E2E:-require} UPGRADE_FROM='$(UPGRADE_FROM)' tests/setup/e2e.sh $(ARGS)

generate: ## Write the CRDs, their reference and the push messages from their sources
	@tests/setup/packages.sh rust
	@cargo run $(LOCKED) --bin generate-crds
	@LLMCACHE_GENERATE=write cargo test $(LOCKED) --workspace --test messages

images: ## Build the images of operator and sidecar as archives, without Docker (PREFIX=registry/ and TAG= name them)
	@tests/setup/packages.sh rust python
	@PREFIX='$(PREFIX)' TAG='$(TAG)' tests/setup/images.sh
