# The front door. Every target is one or two commands, printed as they run, so that you can type them without make.
#
#   BROKER=memory|docker       which broker `make up` starts                   make up BROKER=docker
#   BOOTSTRAP=host:port        the broker the labs talk to                     make producer-keyed BOOTSTRAP=127.0.0.1:9192
#   CONFIG=file.toml           a configuration of your own                     make producer-keyed CONFIG=mine.toml
#   STAGE=3                    a stage of Lab 5                                make lab5-stage STAGE=3
#   ARGS='…'                   further flags for the program that is run       make server ARGS='--port 9093'

BROKER ?= memory
BOOTSTRAP ?=
CONFIG ?=
ARGS ?=

# Where `make server` listens: as `make up`, at KAFKA_HOST_IP from the environment or .env.
KAFKA_HOST_IP ?= $(shell sed -n 's/^KAFKA_HOST_IP=//p' .env 2> /dev/null)

# Cargo's own lines are worth seeing while a program is being built, and in the way afterwards.
quiet = $(if $(wildcard target/debug/$(1)), -q)
# $(call run,PROGRAM,FLAGS): ARGS come last, and `--` only before flags.
run = cargo run$(call quiet,$(1)) --bin $(1)$(if $(strip $(2)$(ARGS)), -- $(strip $(2) $(ARGS)))
args = $(if $(ARGS), $(ARGS))
bootstrap = $(if $(BOOTSTRAP),--bootstrap-server $(BOOTSTRAP))
config = --config $(or $(CONFIG),$(1)) $(bootstrap)
own = $(if $(CONFIG),--config $(CONFIG)) $(bootstrap)

# A lab's reset; $(call reset1,--check) only says whether somebody still uses what it would delete.
reset1 = $(call run,lab1-topics,--reset $(1) $(own))
reset2 = $(call run,lab2,provision --reset $(1) $(own))
reset3 = $(call run,lab3-producer,--reset $(1) $(call config,$(lab3)/lab3.toml))
reset4 = $(call run,lab4,reset $(1) $(own))
reset5 = $(call run,lab5,reset $(1) $(call config,$(lab5)/lab5.toml))

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

##@ Getting started

.PHONY: help help-all lab1 lab2 lab3 lab4 lab5 demo test doctor
define start
Kafka labs in Rust, and an in-memory Kafka broker. Start here:

  make demo        Lab 1 from end to end, on a broker of its own; nothing is left running
  make test        every test that needs nothing but this machine
  make doctor      what is installed, what is missing, and how to install it

Then do Lab 1 yourself, in two terminals:

  make up          start a broker in the background (make down stops it)
  make lab1        the steps of Lab 1 (lab2, lab3, lab4, lab5: the steps of the others)

All targets: make help-all. The map: README.md. Something fails: docs/troubleshooting.md.
endef
export start
# $(call list,PATTERN): the targets of the sections whose heading fits, with what they do.
list = @awk 'BEGIN {FS = ":.*\#\# "} /^\#\#@ / {fits = /^\#\#@ $(1)/; if (fits) printf "\n%s\n", substr($$0, 5)} \
	fits && /^[a-z0-9 -]+:.*\#\# / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

help: ## How to start
	@echo "$$start"

help-all: ## Every target, and the variables
	$(call list,)
	@echo; sed -n 's/^#   /  /p' Makefile

lab1 lab2 lab3 lab4 lab5: ## The steps of a lab
	$(call list,Lab $(@:lab%=%):)
	@printf '\nBefore: make up. After: make down. The lesson: %s\n' labs/$@_*/README.md

demo: tools ## Lab 1 from end to end on a broker of its own: nothing to start, nothing left running
	$(call run,lab1-demo)

test: tools ## Every test that needs nothing but this machine (ARGS='-p shared': those of a package)
	$(if $(ARGS),cargo test $(ARGS),sh scripts/test)

doctor: ## What is installed, what is missing, who answers on Kafka's port; and a verdict
	@sh scripts/doctor

.PHONY: tools
tools:
	@sh scripts/doctor --quiet

##@ Broker

.PHONY: up down provision reset server status logs
up: tools ## Start the broker in the background (BROKER=docker: Apache Kafka) and wait until it is ready
	@cargo build$(call quiet,mini-kafka) --bin mini-kafka --bin labs
	$(call run,labs,up --broker $(BROKER))

down: tools ## Stop the broker that `make up` started
	$(call run,labs,down)

provision: tools topics ## Create the topics of all labs
	$(call run,lab2,provision $(bootstrap))
	$(call run,lab3-producer,--config $(lab3)/lab3.toml --events 0 $(bootstrap))

reset: tools ## Forget what the labs did: topics, groups, databases. Changes nothing while somebody uses them
	$(if $(CONFIG),$(error CONFIG belongs to one lab: make lab1-reset CONFIG=$(CONFIG)))
	$(call reset1,--check)
	$(call reset2,--check)
	$(call reset3,--check)
	$(call reset4,--check)
	$(call reset5,--check)
	$(reset1)
	$(reset2)
	$(reset3)
	$(reset4)
	$(reset5)

server: tools ## The embedded broker in this terminal, until Ctrl-C
	$(call run,mini-kafka,$(if $(KAFKA_HOST_IP),--host $(KAFKA_HOST_IP)))

status: tools ## Which broker runs, who answers
	$(call run,labs,status)

logs: tools ## The broker's log (ARGS=-f: and what follows, until Ctrl-C)
	$(call run,labs,logs)

##@ Lab 1: produce and consume

.PHONY: topics consumer-keyed producer-keyed consumer-rr producer-rr diff-configs lab1-reset
topics: tools ## Create Lab 1's topic
	$(call run,lab1-topics,$(own))

consumer-keyed: tools ## Terminal A: read, in the group lab1-keyed
	$(call run,lab1-consumer,$(call config,config_keyed.toml))

producer-keyed: tools ## Terminal B: type lines such as `u1 click 10`: the first word is the key, the key picks the partition
	$(call run,lab1-producer,$(call config,config_keyed.toml))

consumer-rr: tools ## Terminal A: read, in the group lab1-rr
	$(call run,lab1-consumer,$(call config,config_roundrobin.toml))

producer-rr: tools ## Terminal B: type the same lines: no key, one partition after the other
	$(call run,lab1-producer,$(call config,config_roundrobin.toml))

diff-configs: ## What differs between the two configurations
	$(call run,lab1-producer,--config config_keyed.toml --diff-config config_roundrobin.toml)

lab1-reset: tools ## Forget what Lab 1 did: its topic and groups
	$(reset1)

##@ Lab 2: consumer groups

lab2 = labs/lab2_consumer_groups
own_groups = $(lab2)/config_own_groups.toml
one_group = $(lab2)/config_one_group.toml

.PHONY: play lab2-one-group lab2-producer lab2-consumers lab2-bravo lab2-zulu lab2-rebalance lab2-crash lab2-diff lab2-reset
play: tools ## A producer and two consumers, each in a group of its own, in one terminal until Ctrl-C
	$(call run,lab2,play $(call config,$(own_groups)))

lab2-one-group: tools ## The same three, with both consumers in one group
	$(call run,lab2,play $(call config,$(one_group)))

lab2-producer: tools ## Send a fake payment every 2 s (ARGS='--interval 500ms')
	$(call run,lab2,start-producer $(call config,$(own_groups)))

lab2-consumers: tools ## BRAVO and ZULU in one process
	$(call run,lab2,start-consumer $(call config,$(own_groups)))

lab2-bravo: tools ## BRAVO alone
	$(call run,lab2,start-consumer --client bravo $(call config,$(own_groups)))

lab2-zulu: tools ## ZULU alone
	$(call run,lab2,start-consumer --client zulu $(call config,$(own_groups)))

lab2-rebalance: tools ## Four members join a group of three partitions, one leaves: range, roundrobin, cooperative-sticky
	$(call run,lab2,rebalance $(call config,$(own_groups)))

lab2-crash: tools ## Kill a consumer (kill -9), commit before or after: what is lost, what comes twice
	$(call run,lab2,crash $(call config,$(lab2)/config_crash.toml))

lab2-diff: tools ## What differs between own groups and one group
	$(call run,lab2,play --config $(own_groups) --diff-config $(one_group))

lab2-reset: tools ## Forget what Lab 2 did: its topics and groups
	$(reset2)

##@ Lab 3: protobuf, batches, ZSTD

lab3 = labs/lab3_zstd_protobuf

.PHONY: lab3-producer lab3-consumer lab3-batches lab3-measure lab3-picture lab3-reset schemas-validate schemas-sync
lab3-producer: tools ## Send user events as protobuf (ARGS='-n 100000')
	$(call run,lab3-producer,$(call config,$(lab3)/lab3.toml))

lab3-consumer: tools ## Read them, in the group lab3
	$(call run,lab3-consumer,$(call config,$(lab3)/lab3.toml))

lab3-batches: tools ## Show the batches that the broker stores: records, codec, bytes
	$(call run,lab3-batches,$(call config,$(lab3)/lab3.toml))

lab3-measure: tools ## Compare JSON and protobuf, five codecs, three batch sizes: bytes, CPU, records/s, and a picture
	cargo run --release --bin lab3-measure -- $(call config,$(lab3)/lab3.toml) --svg target/lab3-measured.svg$(args)

lab3-picture: tools ## The same, but draw the picture in Lab 3's README
	cargo run --release --bin lab3-measure -- $(call config,$(lab3)/lab3.toml) --svg $(lab3)/measured.svg$(args)

lab3-reset: tools ## Delete Lab 3's topic and group
	$(reset3)

schemas-validate: tools ## Check that the schemas are valid, and compatible with those in the last commit
	$(MAKE) -C labs/schemas validate

schemas-sync: tools ## Write the Kubernetes ConfigMap of the schemas (ARGS=--apply: also give it to kubectl)
	$(MAKE) -C labs/schemas sync

##@ Lab 4: an event service

.PHONY: lab4-service lab4-notifications lab4-load lab4-lag lab4-send lab4-redrive lab4-outage lab4-crash lab4-reset
lab4-service: tools ## The web service and its relay, until Ctrl-C (ARGS='--send direct': without the outbox)
	$(call run,lab4,service $(own))

lab4-notifications: tools ## The consumers: notification service and job handler, until Ctrl-C
	$(call run,lab4,notifications $(own))

lab4-load: tools ## Put load on the service, then count: accepted, in Kafka, handled (ARGS='--rate 500 --seconds 30')
	$(call run,lab4,load $(own))

lab4-lag: tools ## How many messages the consumers have not handled yet
	$(call run,lab4,lag $(own))

lab4-send: tools ## Send a message as another program might (ARGS=rubbish, ARGS='--liked 77', ARGS='--created 77 --times 3')
	$(call run,lab4,send $(own))

lab4-redrive: tools ## Send the dead letters back (ARGS=--dry-run: only show them)
	$(call run,lab4,redrive $(own))

lab4-outage: tools ## Take a broker away under load for 10 s, and count (ARGS='--send direct': events are lost)
	@cargo build$(call quiet,mini-kafka) --bin mini-kafka
	$(call run,lab4,outage $(own))

lab4-crash: tools ## Kill the consumers (kill -9) under load, and count (ARGS=--no-dedupe, ARGS='--commit first')
	@cargo build$(call quiet,mini-kafka) --bin mini-kafka
	$(call run,lab4,crash $(own))

lab4-reset: tools ## Delete Lab 4's topics, groups and databases, unless somebody uses them (ARGS=--check: only look)
	$(reset4)

##@ Lab 5: the protocol by hand

lab5 = labs/lab5_wire_protocol
STAGE ?= 1

.PHONY: lab5-check lab5-stage lab5-predict lab5-reset
lab5-check: tools ## Check which of the eight stages pass
	$(call run,lab5,check $(call config,$(lab5)/lab5.toml))

lab5-stage: tools ## Run one stage and show every byte that is sent or received (STAGE=3)
	$(call run,lab5,stage $(STAGE) $(call config,$(lab5)/lab5.toml))

lab5-predict: tools ## Answer a question about a stage, then see what the broker does (STAGE=3)
	$(call run,lab5,predict $(STAGE) $(call config,$(lab5)/lab5.toml))

lab5-reset: tools ## Delete Lab 5's topic and group
	$(reset5)

##@ Habits

.PHONY: build build-release format check lint fix pre-commit ci
build: tools ## Build everything
	cargo build --workspace$(args)

build-release: tools ## Build everything, optimised
	cargo build --workspace --release$(args)

format: ## Format the code
	cargo fmt --all

check: ## Is the code formatted? Changes nothing (for `cargo check`, see lint)
	@cargo fmt --all -- --check || { echo 'The code is not formatted as rustfmt.toml says. `make format` does it.' >&2; exit 1; }

lint: tools ## Clippy and the documentation, warnings are errors
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps -q

fix: tools ## Let clippy and rustfmt repair what they can
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

pre-commit: format lint test ## Before a commit: format, lint, test

ci: check lint test integration-test ## What the CI runs

##@ Other clients, other brokers, speed

.PHONY: integration-test conformance docker-test fuzz soak bench bench-quick bench-instructions deny
integration-test: tools ## Clients in other languages (JavaScript, Python, Go, Java, C) against the embedded broker
	CLIENTS=1 cargo test --test integration_tests$(args)

conformance: tools ## The client tests against a Kafka of yours: make conformance BOOTSTRAP=127.0.0.1:9092
	@test -n '$(or $(BOOTSTRAP),$(KAFKA_BOOTSTRAP_SERVERS))' || { echo 'Which Kafka? `make up BROKER=docker`, then `make conformance BOOTSTRAP=127.0.0.1:9092`.' >&2; exit 2; }
	KAFKA_BOOTSTRAP_SERVERS=$(or $(BOOTSTRAP),$(KAFKA_BOOTSTRAP_SERVERS)) cargo test --workspace$(args)

docker-test: tools ## The tests that start Kafka in a container (needs a Docker engine)
	cargo test -p shared --features docker-tests$(args)

fuzz: tools ## Fuzz the broker with frames, batches and group scripts, 60 s each (ARGS=600: so many seconds)
	BOLERO_RANDOM_TEST_TIME_MS=$(or $(ARGS),60)000 BOLERO_RANDOM_ITERATIONS=1000000000 cargo test -p mini-kafka --lib -- any_frames any_batch any_order

soak: tools ## Half an hour of mixed clients: is every record read, and is memory flat? (ARGS='--seconds 300')
	cargo test -p mini-kafka-program --test soak -- $(or $(ARGS),--seconds 1800)

bench: tools ## Micro-benchmarks of batches and the log
	cargo bench -p mini-kafka$(if $(ARGS), -- $(ARGS))

bench-quick: tools ## Start, memory, throughput, CPU, latency; BOOTSTRAP=… beside that Kafka, KAFKA_LAUNCHER=… beside one of its own
	$(if $(BOOTSTRAP),KAFKA_BOOTSTRAP_SERVERS=$(BOOTSTRAP) )cargo bench -p mini-kafka-program --bench quick$(if $(ARGS), -- $(ARGS))

bench-instructions: tools ## Instructions of a produce and a fetch, counted by valgrind (BASE=main: and how many more than there)
	$(if $(BASE),sh scripts/instructions $(BASE),cargo bench -p mini-kafka --bench instructions$(if $(ARGS), -- $(ARGS)))

deny: ## Licences and advisories of all dependencies
	@cargo deny --version > /dev/null 2>&1 || { echo 'cargo-deny is missing. Install it: cargo install --locked cargo-deny' >&2; exit 1; }
	cargo deny check
