# What people run. Everything here needs Go, make, git and bash, and nothing else:
# tools come from hack/tools, at pinned versions, built and cached by Go.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TOOL := go tool -modfile=hack/tools/go.mod

# Further arguments of demo and test, for example
#   make demo ARGS=--once
#   make test ARGS='-run TestMerge -v' PKG=./internal/awsauth
ARGS ?=
PKG ?= ./...
export PKG BENCH COUNT FUZZTIME FUZZREST SOAK_TIME SOAK_SEED SOAK_HOURS

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: controlplane build ## show the whole thing at work on this machine (ARGS=--once: run the scenario and end)
	@bin/aws-auth-refresher demo $(ARGS)

.PHONY: test
test: controlplane ## run all tests, race detector on (ARGS: flags of go test, PKG: which packages)
	@hack/test.sh $(ARGS)

.PHONY: build
build: ## build bin/aws-auth-refresher and bin/eks-auth
	@hack/build.sh bin/aws-auth-refresher . $(VERSION)
	@hack/build.sh bin/eks-auth ./cmd/eks-auth $(VERSION)

.PHONY: bench
bench: controlplane ## run the benchmarks (BENCH: which, PKG: of which folder, COUNT: how often)
	@hack/bench.sh $(ARGS)

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (default 30s; PKG: of which packages)
	@hack/fuzz.sh

.PHONY: soak
soak: controlplane ## run the fault test with many seeds for SOAK_TIME (default 10m; SOAK_SEED: repeat one)
	@hack/soak.sh

.PHONY: verify
verify: ## check formatting, lint, layers, rendered manifests, modules, scripts, known vulnerabilities
	@hack/verify.sh

.PHONY: format
format: ## format the Go code
	@$(TOOL) golangci-lint fmt

.PHONY: manifests
manifests: ## render deploy/ from config/
	@hack/manifests.sh

.PHONY: controlplane
controlplane: ## get or build kube-apiserver and etcd for tests and demo
	@hack/controlplane.sh

.PHONY: clean
clean: ## remove what was built, the control plane too
	rm -rf bin .demo
