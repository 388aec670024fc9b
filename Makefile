# flopwatch. `make help` lists the targets.
GO      ?= go
BIN     := bin
DATA    ?= data
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X github.com/flopwatch/flopwatch/pkg/version.Version=$(VERSION)
# go-nvml compiles NVIDIA's header, which deprecates its own functions. Lazy
# binding must stay on: a driver without a newer symbol would otherwise kill the
# program at start. SQLite need not count its memory, under a lock, at each allocation.
export CGO_CFLAGS  ?= -Wno-deprecated-declarations -O2 -DSQLITE_DEFAULT_MEMSTATUS=0
export CGO_ENABLED = 1
export GOTOOLCHAIN = local
# The same for tests and programs, so that neither compiles again what the other did.
# grpcnotrace leaves out gRPC's pages for debugging, and with them html/template.
export GOFLAGS ?= -trimpath -tags=grpcnotrace

.DEFAULT_GOAL := help
.PHONY: postgres postgres-short migrate-year fleet crossing bench-peers long desk-speed long-run lab-year moved-lines packages reproducible units-check deploy-check eval fit kernels help build run test race check fmt vet lint generate generate-check standin truth-selftest gpu-truth cost live-hour bench links suppression insider fuzz clean bundle-large

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the three programs into bin/
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./agent/cmd/... ./collector/cmd/...

run: build ## start collector, agent and desk on this machine (TRACE=path replays a trace, DATA=folder keeps the data)
	$(BIN)/flopwatch-collector demo --data '$(DATA)' --agent '$(BIN)/flopwatch-agent' --scenarios testdata $(if $(TRACE),--trace '$(TRACE)')

# Without tables for debuggers, which a hundred test programs would each be linked with; go vet has a target of its own.
test: ## run every test
	$(GO) test -vet=off -ldflags=-w -timeout 60m ./...

# The tests of these packages are one contract: the same ones hold on SQLite and on PostgreSQL.
ON_POSTGRES := ./collector/internal/store ./collector/internal/ingest ./collector/internal/roster

postgres: ## run the tests of the store, of ingest and of the roster on PostgreSQL too (needs its programs, not a server)
	FLOPWATCH_STORE=postgres $(GO) test -count=1 -timeout 60m $(ON_POSTGRES)

postgres-short: ## the same with fewer made-up histories, as CI runs it; skipped with a message where PostgreSQL is not installed
	@if [ -n "$$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || command -v initdb >/dev/null; then \
	  FLOPWATCH_STORE=postgres $(GO) test -short -count=1 -timeout 60m $(ON_POSTGRES); \
	else echo "postgres-short: PostgreSQL is not installed, skipped"; fi

migrate-year: ## fill a year of hours of 400 devices, millions of rows, move it from SQLite to PostgreSQL and compare
	FLOPWATCH_LONG=1 $(GO) test -count=1 -v -timeout 60m -run 'TestMove$$' ./collector/internal/store

race: ## run every test with the race detector
	$(GO) test -race -timeout 120m ./...

check: fmt vet lint generate-check units-check deploy-check truth-selftest postgres-short race ## what CI runs

long: ## the slow checks one after the other, some hours: two kernels, kills, faults, suppression, hostile input, large runs, insiders, fuzzing
	$(MAKE) kernels SERIES="5.10 6.12"
	$(MAKE) faults hostile suppression long-run lab-year moved-lines links accesses insider bundle-large chaos
	$(MAKE) fuzz FUZZTIME=10m

fmt: ## fail on files that gofmt would change
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

lint: ## staticcheck, unchecked errors, log style (pinned in go.mod)
	$(GO) tool staticcheck ./...
	$(GO) tool errcheck -exclude .errcheck ./...
	$(GO) tool sloglint -ctx-only=scope -attr-only -no-global=all -static-msg ./...

generate: ## rebuild generated code (needs protoc, clang 14 and llvm-strip)
	$(GO) generate ./...

generate-check: ## fail when generated code is not what the sources give; what has no compiler here is skipped with a message
	@if command -v protoc >/dev/null; then \
	  $(GO) generate $$($(GO) list ./... | grep -v '/bpf$$') && git diff --exit-code -- '*.pb.go' || { echo "generated code is stale: make generate"; exit 1; }; \
	else echo "generate-check: protoc is not installed, skipped"; fi
	@if clang --version 2>/dev/null | grep -q 'version 14\.' && command -v llvm-strip >/dev/null; then \
	  $(GO) generate ./bpf && git diff --exit-code -- bpf || { echo "BPF objects are stale: make generate"; exit 1; }; \
	else echo "generate-check: clang 14 with llvm-strip is not installed, BPF objects skipped"; fi

standin: ## build the scripted NVML stand-in into bin/
	@mkdir -p $(BIN)
	$(CC) -shared -fPIC -O2 -Wall -I "$$($(GO) list -m -f '{{.Dir}}' github.com/NVIDIA/go-nvml)/pkg/nvml" \
	  -o $(BIN)/libnvml-standin.so testdata/nvml/fake_nvml.c -lm -lpthread

truth-selftest: ## check the operation counts of gpu-truth against brute force; skipped with a message without python3
	@if command -v python3 >/dev/null; then PYTHONDONTWRITEBYTECODE=1 python3 testdata/gputruth/gputruth.py selftest; \
	else echo "truth-selftest: python3 is not installed, skipped"; fi

gpu-truth: build ## record workloads of counted operations on this host's GPU and hold the agent against them
	python3 testdata/gputruth/gputruth.py run --agent $(BIN)/flopwatch-agent --out testdata/recordings
	python3 testdata/gputruth/gputruth.py cost --agent $(BIN)/flopwatch-agent
	$(GO) test -count=1 -run TestRecordedTruth -v ./agent/internal/fleet

eval: ## hold the judgements against public recordings and write docs/evaluation.md; skipped with a message without ../shared/traces
	$(GO) test -count=1 -v -run 'TestEvaluation|TestMadeUp' ./collector/internal/eval -args -write

fit: ## fit the scorecard anew from the tuning recordings, then look at make eval
	UPDATE=1 $(GO) test -count=1 -v -run TestScorecardIsFitted ./collector/internal/eval

cost: build standin ## measure the agent with 8 stand-in GPUs and 1,000 processes: one process, two units, and while 2,000 processes start each second (6,000 events)
	testdata/cost/cost.sh $(BIN) 60
	UNITS=1 testdata/cost/cost.sh $(BIN) 60
	CHURN=2000 testdata/cost/cost.sh $(BIN) 60

LIVE_SECONDS ?= 3600
live-hour: build standin ## run collector and agent for an hour while devices, holders and programs change, then check that the ledger balances
	testdata/livehour/livehour.sh $(BIN) $(LIVE_SECONDS)

kernels: ## run the BPF tests on Debian kernels 5.10, 6.1 and 6.12 in QEMU (SERIES="6.18" for others)
	bpf/kernels/run $(SERIES)

desk-speed: ## how fast pages and lists answer 20 users over 10,000 customers, 100,000 runs and 1,000,000 findings, and at what processor time (DESK_DB=file keeps the database)
	$(GO) test -run '^$$' -bench 'BenchmarkDesk$$' -benchtime 200x -timeout 30m ./collector
	$(GO) test -run '^$$' -bench DeskLists -benchtime 50x -timeout 30m ./collector/internal/store

FLEET   ?= 12500
SECONDS ?= 300
fleet: ## play FLEET made-up hosts of 8 GPUs for SECONDS of fleet time against a collector, print what it cost by stage, and hold the ledger against the sender (FLEET_SPEED=real|fast, FLEET_WINDOW=s, FLEET_BATCH=windows, FLEET_REPORT=file, FLEET_PROFILE=file)
	FLEET=$(FLEET) FLEET_SECONDS=$(SECONDS) $(GO) test -count=1 -v -timeout 0 -run 'TestFleet$$' .

HOSTS ?= 12500
crossing: ## how long after its window a crossing is found while HOSTS made-up hosts of 8 GPUs report; fails above 2 s for 99 of 100 (four minutes)
	CROSSING=$(HOSTS) $(GO) test -count=1 -v -timeout 0 -run 'TestCrossingsAreFoundInTime$$' .

bench-peers: ## the same readings into flopwatch, Prometheus and VictoriaMetrics over loopback, and the agent beside prometheus-node-exporter (some minutes; PEERS_HOSTS, PEERS_SECONDS, PEERS_REPORT=file)
	FLOPWATCH_LONG=1 $(GO) test -count=1 -v -timeout 0 -run 'TestPeers$$' .

cluster-chaos: ## three brokers, three collectors and PostgreSQL, each killed, brokers also cut off, ten times, with take-over times; needs PostgreSQL's programs, and root for the networks
	CLUSTER_ROUNDS=$(or $(ROUNDS),10) $(GO) test -count=1 -timeout 120m -run TestClusterChaos -v .

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

links: ## resolve a made-up register of 100,000 parties with known truth, a hub of 20,000, and add one more party (some minutes)
	FLOPWATCH_LONG=1 $(GO) test -count=1 -timeout 30m -run 'TestGeneratedRegister|TestHub' -v ./collector/internal/party/resolve
	$(GO) test -run '^$$' -bench BenchmarkPut -benchtime 500x -timeout 30m ./collector/internal/party/resolve

.PHONY: accesses
accesses: ## send a million rows of the access feed through HTTP: 10,000 a second must fit into one core
	FLOPWATCH_LONG=1 $(GO) test -count=1 -timeout 30m -run TestAccessFeedRate -v ./collector

suppression: ## hide hosts, devices and batches 1,000 times: each must be found, and a clean fleet must be quiet
	FLOPWATCH_LONG=1 $(GO) test -count=1 -run 'SuppressionIsFound|CleanFleet' -v ./collector/internal/gap
	FLOPWATCH_LONG=1 $(GO) test -count=1 -timeout 30m -run 'SuppressionEndToEnd|NothingSuppressed' -v ./collector/internal/ingest

.PHONY: chaos faults hostile
KILLS ?= 1000
RESTORES ?= 50
chaos: ## play the fault matrix with real programs: KILLS kills, RESTORES restores, full disks, a partition, stopped processes (root for some)
	CHAOS_KILLS=$(KILLS) CHAOS_RESTORES=$(RESTORES) CHAOS_PARTITIONS=3 $(GO) test -count=1 -timeout 3h -run 'TestChaos|TestRestoreDrill' -v .

faults: ## fail every file operation of the spool, of its thinning, of the database and of the evidence once
	$(GO) test -count=1 -run 'EveryFileOperationFailsOnce|ThinningFails' -v ./agent/internal/spool
	FLOPWATCH_LONG=1 $(GO) test -count=1 -timeout 1h -run 'Every(Database|Evidence)OperationFailsOnce' -v ./collector/internal/backup

hostile: ## send 100,000 mutated, replayed, shuffled and borrowed envelopes: none may be counted
	ENVELOPES=100000 $(GO) test -count=1 -run HostileEnvelopes -v ./collector/internal/ingest

long-run: ## join a run of 2,048 hosts with 419 interruptions, and measure how joining a day grows to 125,000 hosts
	FLOPWATCH_LONG=1 $(GO) test -count=1 -run 'LongRun|OrdinaryTenants|DayOfFleet' -v ./collector/internal/training

lab-year: ## hold a year of 1,000, 10,000 and 100,000 customers against a pack, and against 50
	FLOPWATCH_LONG=1 $(GO) test -count=1 -run TestYear -v ./collector/internal/lab

moved-lines: ## move lines over the replayed scenarios and the published runs: what is found must be what was predicted
	FLOPWATCH_LONG=1 $(GO) test -count=1 -timeout 1h -run TestMovedLines -v .

bundle-large: ## build and check the bundle of a run of 54 days on 2,048 hosts (WINDOW=1h for shorter windows)
	$(GO) test ./pkg/bundle -run '^$$' -bench LargeBundle -benchtime 1x -timeout 30m

insider: ## edit the database 1,000 times behind the collector's back: each edit must be named
	FLOPWATCH_LONG=1 $(GO) test -count=1 -timeout 2h -run TestInsiderEditsAreNamed -v ./collector/internal/store

AGENTS ?= 1000
settings-reach: ## how fast a change of settings reaches AGENTS simulated agents over one embedded broker
	FLOPWATCH_AGENTS=$(AGENTS) $(GO) test -count=1 -run TestSettingsReachAgents -v ./collector

FUZZTIME ?= 20s
fuzz: ## fuzz every decoder for FUZZTIME each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; done

packages: ## build deb and rpm for amd64 and arm64 into dist/ (ARCHES="amd64" for less)
	packaging/build $(ARCHES)

reproducible: ## build the packages of this machine twice, from two folders: the bytes must be the same
	packaging/test/reproducible

.PHONY: install-test ansible-test arm64-test upgrade-cycles start-times release stranger
start-times: ## how long agent and collector take to start, and what they cost when idle; YEAR=1 adds a collector on a year of 400 devices (START_WITH="chrt -r 1" on a machine that others use)
	FLOPWATCH_LONG=1 START_YEAR=$(YEAR) $(GO) test -count=1 -timeout 60m -run 'TestStartTimes|TestStartOnAYear' -v .

install-test: ## install, enrol, upgrade under load, remove and purge the packages in a Debian tree that systemd boots (root; skipped where tools are absent)
	packaging/test/install

ansible-test: ## play the Ansible role twice over SSH against a Debian tree that systemd boots (root; skipped where tools are absent)
	packaging/test/ansible

arm64-test: ## run the programs for arm64 by emulation, and replay a job with them (skipped where tools are absent)
	packaging/test/arm64

release: ## packages, programs, bills of materials, licences, checksums and a signature in dist/ (RELEASE_KEY=file, or UNSIGNED=1)
	packaging/release $(ARCHES)

stranger: ## clone into a clean Debian tree and type README's two commands there, timed (root; skipped where tools are absent)
	packaging/test/stranger

CYCLES ?= 50
upgrade-cycles: ## CYCLES upgrades and rollbacks between the version before (PREVIOUS=commit) and this one while a fleet sends
	packaging/test/upgrade-cycles $(CYCLES) $(PREVIOUS)

units-check: ## fail when a unit is more exposed than it may be; skipped with a message without systemd-analyze
	packaging/test/units

deploy-check: ## check every file in deploy/ with its own tool, as far as the tools are installed
	deploy/check

.PHONY: deploy-tools
deploy-tools: ## build helm, which Debian does not have, into bin/tools for deploy-check (some minutes)
	GOFLAGS= CGO_ENABLED=0 GOBIN='$(abspath $(BIN))/tools' $(GO) install -trimpath -ldflags '-s -w' helm.sh/helm/v3/cmd/helm@v3.16.4

.PHONY: container-test compose-test
compose-test: build standin ## start the compose file as it is with podman-compose and look for data on the desk (root, TREE=Debian tree; skipped where tools are absent)
	deploy/compose/test

container-test: build standin ## build the container images (TREE=Debian tree) and run the agent with the rights that the Helm chart gives it
	deploy/container/test

clean: ## remove built programs
	rm -rf $(BIN)

GALLERY ?= $(BIN)/gallery
gallery: ## write every page of the desk over canned data into GALLERY, to be looked at behind any file server
	@rm -rf '$(GALLERY)' && mkdir -p '$(GALLERY)'
	GALLERY='$(abspath $(GALLERY))' $(GO) test -count=1 -run TestGallery ./collector/internal/webui ./collector/internal/access

desk-check: gallery ## look at the gallery with a real browser: axe-core, width, keyboard, content policy (SHOTS=folder keeps pictures, ONLY=text chooses pages)
	@if command -v node >/dev/null && command -v npm >/dev/null && [ -x "$${CHROMIUM:-/usr/bin/chromium}" ]; then \
	  cd collector/internal/webui/deskcheck && { [ -d node_modules ] || npm install --no-package-lock --no-audit --no-fund; } && node check.mjs '$(abspath $(GALLERY))' $(if $(SHOTS),'$(abspath $(SHOTS))'); \
	else echo "desk-check: needs node, npm and chromium, skipped"; fi

.PHONY: desk-crawl
desk-crawl: ## follow every link of a desk that serves the demonstration, as people of several roles, in a real browser (some minutes; axe-core on every page after make desk-check)
	FLOPWATCH_LONG=1 $(GO) test -count=1 -v -timeout 60m -run 'TestEveryLinkOfTheDesk$$' .
