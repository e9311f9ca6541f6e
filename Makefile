# Planetary Mesh: every task of the house by its name. `make` alone tells what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The one place for how Swift is called: a target that imports what it does not declare does not build.
BUILD_FLAGS := --explicit-target-dependency-import-check error
SWIFT_BUILD := swift build $(BUILD_FLAGS)
# BUILT=1 takes what is built, as CI does after its two builds: to be told that nothing is left takes seconds each time,
# and only one build goes on in a folder.
ifdef BUILT
SWIFT_BUILD := true
endif
SWIFT_TEST := swift test $(BUILD_FLAGS)
QUIETLY := scripts/quietly.sh
LINTED := Package.swift $(wildcard libp2p mesh Tests Interop Benchmarks Examples)
SEED ?= 1
FILTER ?=
SKIP ?=
ARGS ?=
PAGES ?=

.PHONY: help setup build build-tests release package package-again test corpus crash-matrix doc tidy api cheat demo demo-credit picture dashboard-check dashboard-bench api-check observe-check docs-check example example-csv example-sql example-picture example-words example-workflow example-mandelbrot example-circuit programs programs-all templates interop interop-bench lint format bench simulator sim simulate strategies market guests clean bench-data

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## system packages and the pinned wasmtime library, each only when missing
	@scripts/setup.sh

build: setup ## the mesh binary (debug), in .build/debug/mesh
	@$(QUIETLY) "Building mesh" build.log $(SWIFT_BUILD) --product mesh

release: setup ## the mesh binary (optimised), in .build/release/mesh
	@$(QUIETLY) "Building mesh (release)" release.log $(SWIFT_BUILD) -c release --product mesh

package: release guests ## a tarball and a .deb of the optimised build, in .build/package (docs/installing.md)
	@scripts/setup.sh package
	@scripts/package.sh

package-again: ## after make package: the same commit once more, built from nothing, has to give the same bytes
	@cp .build/package/SHA256SUMS .build/SHA256SUMS.first
	@rm -rf .build/*/release
	@$(MAKE) package
	@cmp .build/SHA256SUMS.first .build/package/SHA256SUMS

build-tests: setup guests ## everything, the tests too (debug)
	@$(QUIETLY) "Building the tests" build-tests.log $(SWIFT_BUILD) --build-tests

test: build-tests ## all tests; FILTER=GossipSubTests for some, SKIP=CrashTests for all but one target
	@scripts/test.sh "$(FILTER)" "$(SKIP)"

corpus: build-tests ## all hostile modules, with a table of how they ended, and all file cases by a guest
	@MESH_WHOLE_CORPUS=1 scripts/test.sh '^CoVMTests\.HostileCorpusTests' ""
	@MESH_WHOLE_CORPUS=1 scripts/test.sh '^GuestFilesTests\.GuestLevelTests' ""

crash-matrix: build-tests ## nodes that die before and after each of their writes, at 200 different pairs at the least
	@MESH_CRASH_MATRIX=1 scripts/test.sh '^CrashTests\.CrashMatrixTests[./]' ""

doc: build-tests ## the pages of the code (DocC), in .build/documentation; a warning fails
	@scripts/doc.sh

tidy: setup ## only the checks of the house: layers, sizes, banned tokens, docs
	$(SWIFT_TEST) --filter TidyTests

api: ## writes libp2p/API.txt anew, the list of what the network offers to others
	WRITE_API=1 $(SWIFT_TEST) --filter InterfaceChecksTests

cheat: setup
	@$(QUIETLY) "Building mesh-cheat" build-cheat.log $(SWIFT_BUILD) --product mesh-cheat

demo: build cheat guests ## a mesh of five processes runs a job, a stranger verifies the receipt, and a cheat is caught
	@scripts/demo.sh

demo-credit: build guests ## two cooperatives: a job paid across them, a debtor who vanishes, an issuer with two stories
	@scripts/demo-credit.sh

picture: build cheat guests ## draws docs/pictures/demo.svg anew, from a run of the demo
	@scripts/demo.sh 2>/dev/null | scripts/picture.py >.build/demo.svg
	@mv .build/demo.svg docs/pictures/demo.svg

example: ## the example of libp2p/README.md, built and run against a copy of libp2p/ alone
	@scripts/example.sh

dashboard-check: build guests cheat ## every page and action of the dashboard in Chromium; ARGS=--pictures draws docs/pictures anew
	@scripts/setup.sh dashboard
	@python3 scripts/dashboard-check.py $(ARGS)

dashboard-bench: release guests ## the figures of the dashboard and the API; ARGS=paint for one of paint, live, reads, dashboards
	@scripts/setup.sh dashboard
	@python3 scripts/dashboard-bench.py $(ARGS)

api-check: build guests ## the API of a running node: the Python client, the commands of docs/api.md, made-up requests
	@scripts/api-check.sh

observe-check: build guests ## three nodes with a stock Prometheus and a receiver of OTLP beside them
	@scripts/observe-check.sh

docs-check: build guests ## every link of every page, and the commands of the guides in docs/; PAGES=docs/python.md for some
	@scripts/setup.sh docs
	@scripts/docs-check.sh $(PAGES)

example-csv: build ## a Python script over a CSV, on another node: report, summary and picture
	@Programs/example.py csv

example-sql: build ## a question in SQL about the same CSV, answered by SQLite in WebAssembly
	@Programs/example.py sql

example-picture: build ## an SVG to a PNG and a thumbnail
	@Programs/example.py picture

example-words: build guests ## the words of a folder, counted by a program in Embedded Swift
	@Programs/example.py words

example-workflow: build guests ## the words of each page of a folder, then in how many pages each word is
	@Programs/example.py workflow

example-mandelbrot: build guests ## the Mandelbrot set as a PNG, drawn by a program in Embedded Swift
	@Programs/example.py mandelbrot

example-circuit: build ## a circuit in Verilog to JSON, by yosys (compiles for a minute at first)
	@Programs/example.py circuit

programs: build guests ## programs from public packages run as jobs, beside the bare engine; ARGS="--only resvg" for one
	@Programs/run.py $(ARGS)

programs-all: build guests ## the same with the large ones: yosys, nextpnr, GCC's C compiler
	@Programs/run.py --all $(ARGS)

templates: build ## what mesh new writes in each language, built and run with --local
	@scripts/templates.sh $(ARGS)

interop: ## our libp2p against go-libp2p and py-libp2p
	@scripts/setup.sh interop
	@$(QUIETLY) "Building mesh-peer" build-peer.log $(SWIFT_BUILD) --product mesh-peer
	@Interop/run.sh

interop-bench: setup ## our libp2p's figures beside those of go-libp2p, optimised
	@scripts/setup.sh interop
	@$(QUIETLY) "Building mesh-peer (release)" build-peer-release.log $(SWIFT_BUILD) -c release --product mesh-peer
	@Interop/run.sh bench

lint: ## formatting, strictly
	@swift format lint --strict --parallel --recursive $(LINTED)

format: ## formats the sources in place
	@swift format format --in-place --parallel --recursive $(LINTED)

bench: release ## the figures of docs/performance.md, optimised; ARGS=jobs or ARGS="gossip --rate 1000" for one part
	@$(QUIETLY) "Building the benchmarks (release)" bench.log $(SWIFT_BUILD) -c release --product mesh-benchmarks
	@scripts/bench.sh $(ARGS)

bench-data: release ## data beside kubo 0.22, which has to be in .build/kubo (scripts/bench-data.py says how); ARGS="--times 1 add"
	@.build/kubo/bin/python scripts/bench-data.py $(ARGS)

simulator: setup
	@$(QUIETLY) "Building mesh-sim (release)" sim.log $(SWIFT_BUILD) -c release --product mesh-sim

sim: simulator ## a simulated mesh under faults; SEED=7 for another one, ARGS="--nodes 80" for more
	@.build/release/mesh-sim --seed $(SEED) $(ARGS)

simulate: simulator ## what CI simulates: 10,000 composite jobs among cheats over 200 seeds, and 20 rounds; ARGS="20 2" for a tenth
	@scripts/simulate.sh $(ARGS)

strategies: simulator ## five rounds of 1,000 jobs against each strategy of a liar, and their means: half an hour of one processor
	@.build/release/mesh-sim --seed $(SEED) --seeds 5 --strategies --jobs 1000

market: simulator ## what strategies earn among members of issuers: 200 seeds of 1,000 nodes, with the pictures of docs/economics.md
	@.build/release/mesh-sim market --seed $(SEED) --seeds 200 --plots docs/pictures $(ARGS)

guests: setup ## the example jobs as WebAssembly, from their sources
	@Examples/build.sh

clean: ## removes what was built; the next build starts from nothing
	rm -rf .build Examples/build
