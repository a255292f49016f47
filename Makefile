# Thin targets over the go command; run `make` to see them.

GO       ?= go
FUZZTIME ?= 20s
SEEDS    ?= 5000
SEED     ?= 0
SECS     ?= 60
TOPOLOGY ?= single
PACKAGES  = ./...
# Load generators and commands have no part in what the race detector is for,
# and server/e2e tests a binary without it.
RACED     = $(shell $(GO) list ./engine/... ./iouring/... ./replication/... ./server/... ./tools/outbox/... | grep -v /server/e2e)
BINARY    = bin/apogee
CHAOS     = bin/apogee-chaos
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# All targets build alike, so that what one has built serves the others.
export GOFLAGS     += -trimpath
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: $(CHAOS) help build run test race posix check crash sim chaos failover join mutations fuzz bench baseline e2e-java e2e-java-replicas interop cover clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the one static binary: bin/apogee
	$(GO) build -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./tools/apogee

$(CHAOS): build # RocketMQ's Go client is in this binary, so that it isn't in the other
	$(GO) build -ldflags "-s -w" -o $(CHAOS) ./bench/chaos/apogee-chaos

run: build ## build and start a server with its data in ./data
	$(BINARY) server

test: ## run every test
	$(GO) test -timeout 5m $(PACKAGES)

race: ## run the tests of what runs in servers and agents under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 10m $(RACED)

posix: ## run what touches disks again without io_uring
	APOGEE_IO=posix $(GO) test -timeout 5m ./engine/... ./replication ./server/node

check: ## format, vet (Linux and macOS), static analysis, repository rules
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet $(PACKAGES)
	GOOS=darwin $(GO) vet $(PACKAGES)
	$(GO) tool staticcheck $(PACKAGES)
	$(GO) test ./tools/lint

crash: ## cut the power on a simulated disk, SEEDS (5000) times over
	$(GO) test -count=1 -timeout 30m -run 'PowerCuts' ./engine/commitlog -crash.seeds=$(SEEDS)

sim: ## break a simulated cluster by SEEDS (5000) seeds, or by SEED alone
	$(GO) test -count=1 -timeout 12h -run 'Whatever|LosePower|Truncates|LosesPower|Grows' ./replication/clustertest -cluster.seeds=$(SEEDS) -cluster.seed=$(SEED)

chaos: $(CHAOS) ## break TOPOLOGY (single, group, cluster, master-slave) for SECS (60) by SEED (a new one) and judge what clients saw
	$(CHAOS) run --seed $(SEED) --duration $(SECS)s --topology $(TOPOLOGY)

failover: $(CHAOS) ## measure how long producers wait when a node dies or leadership moves; an hour
	$(CHAOS) failover --document docs/BENCHMARKS.md

join: $(CHAOS) ## measure how fast an empty replica gets 5 GiB under load, and its restart; some minutes
	$(CHAOS) join

mutations: ## break the durability code on purpose, by ONLY (a pattern of names); the tests must notice
	$(GO) test -count=1 -timeout 120m -v -run TestEveryMutationIsCaught ./tools/mutation -mutations -mutations.only '$(ONLY)'

fuzz: ## run each fuzz test for FUZZTIME (20s)
	@set -e; grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func / /' | \
	while read -r file name; do \
		echo "fuzz $$name in $$(dirname $$file)"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)"; \
	done

bench: build ## measure this machine's broker and its floor; some minutes
	$(BINARY) bench baseline --servers floor,gathered,apogee --rounds 1 --rows sync1,sync64,sync256,async1,async64,async256,batchsync,batchasync,pull,start --document ""

baseline: build ## measure Apache RocketMQ, the floor and Apogee side by side
	$(BINARY) bench baseline

e2e-java: build ## run the official Java clients and mqadmin against Apogee; half an hour
	server/e2e/java/run apogee

e2e-java-replicas: build ## the same with a group, a cluster, a master and slave, and an outbox; half an hour
	CLIENTS=5.5.0 HEADERS=JSON server/e2e/java/run apogee-group apogee-cluster apogee-master-slave apogee-outbox

interop: build ## the same with Apache RocketMQ's nameserver or broker on one side
	CLIENTS=5.5.0 HEADERS=JSON server/e2e/java/run stock-nameserver stock-broker

outbox-postgres: ## test the outbox's tables on a real PostgreSQL too; installs Debian's package where it is missing
	tools/outbox/table/postgres $(GO) test -count=1 -timeout 5m ./tools/outbox/table

cover: ## coverage of each package
	$(GO) test -timeout 5m -cover $(PACKAGES)

clean: ## remove what builds leave behind
	rm -rf bin
