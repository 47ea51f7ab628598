# Everything here needs Go, git and make. `make race` needs a C compiler besides,
# `make glib` one and GLib, `make peers` one and whatever it is to compare with.

GO ?= go

help: ## list what can be made
	@echo "usage: make TARGET [VARIABLE=VALUE]..."; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile; echo
	@awk '/^## [A-Z]/ { name = $$2; sub(/^## [A-Z]+ /, ""); printf "  %-12s %s\n", name, $$0 }' Makefile

## QUICK 1: make bench in an eighth of the time, with fewer settings
## BACKEND rows for make bench, for example epoll,io_uring (default: what can run here)
## SCENARIO scenarios for make bench, for example wake,pingpong (default: all)
## OUT folder for the results of make bench (default: bench/out)
## NAME what the run of make bench is called in its report
## RAW folder for each sample of make bench, as files for other programs
## RUN results for make performance instead of a new run
## COUNT repetitions for make stress (default: 200)
## KERNEL kernels for make kernels, for example 5.10,7 (default: all of kernels.json)
## SHORT 1: make kernels with the oldest and the newest
## PACKAGES for make kernels, for example aio,backend/epoll (default: all that can run there)
## REPLAY 1: make kernels prints the table of what the last runs have left behind
## RENEW 1: make instructions writes its baseline anew
## DURATION time on each backend for make soak (default: 60s)
## FUZZTIME time, or with an x number of inputs, for each target of make fuzz (default: 500000x)
QUICK    ?=
BACKEND  ?=
SCENARIO ?=
OUT      ?= bench/out
COUNT    ?= 200
FUZZTIME ?= 500000x
DURATION ?= 60s
KERNEL   ?=
SHORT    ?=
PACKAGES ?=
REPLAY   ?=
RENEW    ?=
RUN      ?=
NAME     ?=
RAW      ?=

# A variable with a typing error would have no effect and no message. Those behind the first
# line are Go's, the C compiler's and those of bench/peers.
KNOWN := QUICK BACKEND SCENARIO OUT NAME RAW RUN COUNT KERNEL SHORT PACKAGES REPLAY RENEW DURATION FUZZTIME \
	GO GO% CGO_% CC CFLAGS LDFLAGS ROUNDS N SHELL MAKE% TMPDIR
UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(UNKNOWN),)
$(error There is no variable $(firstword $(UNKNOWN)): make help lists those that there are)
endif

test: ## run all tests
	$(GO) test work

test-ways: ## run all tests four times: not as root, without io_uring, with descriptor 3, without kill
	GO="$(GO)" .ci/ways

race: ## run all tests under the race detector
	CGO_ENABLED=1 $(GO) test -race work

stress: ## run the tests of the core COUNT times, with and without the race detector
	$(GO) test -timeout 0 -count $(COUNT) -cpu 1,2,4 ./aio ./backend/...
	CGO_ENABLED=1 $(GO) test -timeout 0 -race -count $(COUNT) -cpu 1,2,4 ./aio ./backend/...

# go test runs one fuzz target of one package at a time. Before Go 1.27 it fails now and then
# when a time is over (go.dev/issue/75804); a number of inputs has no such end.
fuzz: ## run each fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list work); do \
		targets=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$(echo "$$targets" | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x $$package; \
		done; done

# Go keeps what fuzzing has found in a cache of the machine. Tests go through what is kept here.
corpus: ## keep what make fuzz has found, in testdata/fuzz, where tests run it
	@cache=$$($(GO) env GOCACHE)/fuzz/$$(GOWORK=off $(GO) list -m); \
	(cd "$$cache" && find . -type f -path '*/Fuzz*' -size -3k) | while read -r file; do \
		target=$$(dirname "$$file"); kept=$$(dirname "$$target")/testdata/fuzz/$$(basename "$$target"); \
		mkdir -p "$$kept" && cp "$$cache/$$file" "$$kept/"; \
	done

soak: ## everything at once on each backend for DURATION, and nothing may be lost
	$(GO) run ./internal/soak -duration $(DURATION)

contention: ## loops whose coroutines contend on each backend, each test for DURATION (here 10s)
	AIOLOOP_CONTENTION=$(if $(filter file,$(origin DURATION)),10s,$(DURATION)) $(GO) test -timeout 0 -count 1 -v -run 'TestContention' ./coroutine

model: ## go through all states of the notify protocol (spin, a C compiler)
	docs/model/check

kernels: ## run the tests on real kernels, in virtual machines (root, apt)
	$(GO) run ./internal/kernels -jobs 2 $(if $(KERNEL),-kernel $(KERNEL)) $(if $(SHORT),-short) $(if $(REPLAY),-replay) $(if $(PACKAGES),-only $(PACKAGES))

api: ## write api/, the listings of what is exported, after a change on purpose
	$(GO) test ./internal/house -run TestAPIChangesOnPurpose -update-api

vet: ## run go vet
	$(GO) vet work

# The tools are no part of go.work, whose modules share the versions of what they need.
staticcheck: ## run staticcheck, in the version that internal/tools/go.mod names
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && set -x && \
	GOWORK=off $(GO) -C internal/tools build -o "$$tools/" honnef.co/go/tools/cmd/staticcheck && \
	"$$tools/staticcheck" ./... ./bench/...

MODULES = . bench bench/peers/gnet internal/tools

tidy-check: ## fail if go mod tidy would change the go.mod or go.sum of a module
	@set -e; for module in $(MODULES); do \
		echo "== $$module"; GOWORK=off $(GO) -C $$module mod tidy -diff; \
	done

oldest: ## build, vet and test with the oldest Go that go.mod allows
	@version=go$$(awk '$$1 == "go" { print $$2 }' go.mod); \
	if ! GOTOOLCHAIN=$$version $(GO) version; then \
		echo "make oldest: $$version is missing: it is not installed and cannot be downloaded"; exit 1; fi; \
	set -ex; export GOTOOLCHAIN=$$version; \
	$(GO) build work; $(GO) vet work; $(GO) test work

fmt-check: ## list files that gofmt would change, and fail if there are any
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi

# What darwin stands for is any system but Linux. The compiler's message is to
# name aioloop_runs_on_linux_only, not something that happens to be missing.
cross: ## build and vet for other CPUs, and see that other systems are refused
	GOOS=linux GOARCH=arm64 $(GO) build work
	GOOS=linux GOARCH=arm64 $(GO) vet work
	GOOS=linux GOARCH=riscv64 $(GO) build work
	GOOS=linux GOARCH=riscv64 $(GO) vet work
	GOOS=linux GOARCH=386 $(GO) vet work
	@set -e; for arch in $$($(GO) tool dist list | sed -n 's/^linux.//p'); do \
		echo "linux/$$arch"; GOOS=linux GOARCH=$$arch CGO_ENABLED=0 $(GO) build ./aio/... ./backend/... ./mainloop/... ./examples/...; \
	done
	@message=$$(GOOS=darwin GOARCH=arm64 $(GO) build ./aio 2>&1) && { echo "it compiles for darwin"; exit 1; }; \
	case "$$message" in \
	*aioloop_runs_on_linux_only*) echo "darwin is refused, as it should be: aioloop_runs_on_linux_only" ;; \
	*) echo "it does not say why darwin is refused:"; echo "$$message"; exit 1 ;; \
	esac

# The peers are rows of the comparison. Those that cannot be built are left out, and the
# report says why. A user whose home or whose checkout cannot be written gets temporary
# folders for what Go builds and for the results. (With MAKE instead of MAKE_COMMAND, make -n
# would run all of it.)
bench: ## compare the backends on this machine: table, JSON and HTML in OUT
	@there=; trap 'rm -rf "$$there"' EXIT; \
	for name in GOCACHE GOMODCACHE; do folder=$$($(GO) env $$name) || exit; \
		mkdir -p "$$folder" 2>/dev/null; \
		if [ ! -w "$$folder" ] && [ $$name = GOCACHE -o ! -d "$$folder" ]; then \
			there=$${there:-$$(mktemp -d)} || exit; \
			export $$name="$$there/$$name" GOFLAGS="$$GOFLAGS -modcacherw"; fi; done; \
	if [ -w bench/peers ]; then $(MAKE_COMMAND) -s -C bench/peers; fi; \
	out='-out $(OUT)'; \
	if [ '$(origin OUT)' = file ] && ! { mkdir -p '$(OUT)' && test -w '$(OUT)'; } 2>/dev/null; then out=; fi; \
	$(GO) run ./bench/cmd/aiobench $(if $(QUICK),-quick) $(if $(BACKEND),-backend '$(BACKEND)') $(if $(SCENARIO),-scenario '$(SCENARIO)') $(if $(NAME),-name '$(NAME)') $(if $(RAW),-raw '$(RAW)') -version "$$(git describe --always --dirty 2>/dev/null)" $$out

performance: ## make bench, and write docs/performance.md from it (RUN=results.json: from that)
	$(if $(RUN),,@$(MAKE) bench)
	$(GO) run ./bench/cmd/performance -from $(or $(RUN),$(OUT)/results.json) $(if $(NAME),-name '$(NAME)')
	$(GO) test ./internal/house -run 'TestPicture$$|TestTuningTable$$' -update # the README's, docs/tuning.md

# go test's own -timeout does not hold for benchmarks.
bench-smoke: ## run each benchmark for a moment, to see that it works
	$(MAKE) -s -C bench/peers
	timeout 10m $(GO) test -run '^$$' -bench . -benchtime 10x work
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && set -x && \
	$(GO) run ./bench/cmd/aiobench -quick -scenario pingpong,self-bh,self-notifier,timers -out "$$out" && \
	test -s "$$out/table.txt" && test -s "$$out/results.json" && test -s "$$out/report.html" && \
	$(GO) run ./bench/cmd/performance -from "$$out/results.json" -to "$$out/docs" && test -s "$$out/docs/performance.md"

instructions: ## count the instructions of the hot paths; fail if they have grown by a tenth
	$(GO) run ./bench/instructions $(if $(RENEW),-renew)

benchstat: ## compare the benchmarks with those of the last release, for information
	GO="$(GO)" bench/baseline/compare.sh

examples: ## build the examples and run each one on each backend
	$(GO) test -count 1 -v ./examples

# The only cgo here is behind a build tag, so that nothing else needs GLib.
glib: ## run an AioContext from GLib's main loop, on each backend (cgo)
	@if ! command -v $${CC:-cc} >/dev/null || ! pkg-config --exists glib-2.0 2>/dev/null; then \
		echo "make glib: skipped: it needs a C compiler, pkg-config and libglib2.0-dev"; exit 0; fi; \
	set -ex; export CGO_ENABLED=1; \
	$(GO) vet -tags glib ./examples/glib; \
	$(GO) run -tags glib ./examples/glib

peers: ## wake-ups in C and gnet: futex, spin, epoll, io_uring, libev, libuv, GLib
	$(MAKE) -C bench/peers run

peers-deps: ## install what the peers are built with (Debian, Ubuntu; as root)
	$(MAKE) -C bench/peers deps

ci: ## run what has to pass before a change is merged, see .ci/run
	.ci/run

.PHONY: help test api test-ways race stress fuzz corpus soak contention model kernels vet staticcheck tidy-check oldest fmt-check cross bench performance bench-smoke instructions benchstat examples glib peers peers-deps ci
