# Tasks of the project; `make help` lists them.

PARTS := hw algo dataflow sim boards cli tests
PYTHON := $(firstword $(shell command -v python3.11 python3))
RUN := .venv/bin/python

.PHONY: help venv demo demo-array test lint verify formal verify-float reproduce resources \
	measure bench-array bench-sat bench-algo bench-explore bench-sim isa-fields registers requirements
.DEFAULT_GOAL := help

help:
	@echo 'make venv          install everything into .venv'
	@echo 'make demo          simulate a training step, with a report to look at'
	@echo 'make demo-array    generate the array, run a GEMM on it'
	@echo 'make test          run the tests (ARGS="-k adder" passes options to pytest)'
	@echo 'make lint          check style and types'
	@echo 'make verify        500 random programs and the layers of five models on the hardware'
	@echo 'make formal        properties of AXI, by a solver, for longer runs than in the tests'
	@echo 'make verify-float  millions of vectors through the floating-point units'
	@echo 'make reproduce     the paper'"'"'s speed-up and ablations: rewrite docs/reproduction.md'
	@echo 'make bench-sim     what the simulator costs: rewrite docs/simulation_speed.md'
	@echo 'make bench-array   how fast the 8x8 array runs in Verilator'
	@echo 'make bench-sat     what the 8x8 accelerator costs in Verilator: rewrite docs/hardware_speed.md'
	@echo 'make bench-algo    what sparse training costs beside dense training'
	@echo 'make resources     what machines cost and what fits: rewrite docs/resources.md'
	@echo 'make measure       map all blocks with Yosys again, which takes hours'
	@echo 'make bench-explore how fast designs are explored: rewrite docs/exploration_speed.md'
	@echo 'make isa-fields    rewrite docs/isa_fields.md from the instructions'
	@echo 'make registers     rewrite docs/registers.md from the map of registers'

venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory requirements
	@echo 'Installing into .venv; the first time takes a few minutes.'
	@$(PYTHON) -m venv .venv
	@$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[train,explore,verify,dev]' -c constraints.txt
	@# Networks for tests; those that they use need no more than torch and numpy.
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps pytorchcv -c constraints.txt
	@touch $@

demo: venv build
	.venv/bin/sparsat simulate resnet18 --html build/resnet18.html
	@echo 'The same to look at: build/resnet18.html'

demo-array: venv
	.venv/bin/sparsat generate --config small -o build/small
	.venv/bin/sparsat gemm --config small --pattern 2:8

test: venv
	$(RUN) -m pytest -n 2 $(ARGS)

lint: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(shell find $(PARTS) -name "*.py")

verify: venv
	.venv/bin/sparsat verify --random 400 --seed 1 --config tiny
	.venv/bin/sparsat verify --random 100 --seed 2 --config small
	for model in resnet9 vit vgg19 resnet18 resnet50; do \
	  .venv/bin/sparsat verify $$model --config tiny || exit 1; done

formal: venv
	CYCLES=20 $(RUN) -m pytest tests/hw/formal

verify-float: venv
	$(RUN) -m sparsat.hw.float.verify

resources: venv build
	$(RUN) -m sparsat.sim.resources > build/resources.md
	cat build/resources.md
	mv build/resources.md docs/

measure: venv
	$(RUN) -m sparsat.hw.measure

reproduce: venv build
	$(RUN) -m sparsat.sim.reproduce > build/reproduction.md
	mv build/reproduction.md docs/

bench-explore: venv build
	$(RUN) -m sparsat.sim.explore.bench > build/exploration_speed.md
	cat build/exploration_speed.md
	mv build/exploration_speed.md docs/

bench-sim: venv build
	$(RUN) -m sparsat.sim.bench > build/simulation_speed.md
	mv build/simulation_speed.md docs/

build:
	@mkdir $@

bench-array: venv
	.venv/bin/sparsat gemm --config small --p 512 --q 512

bench-sat: venv build
	$(RUN) -m sparsat.sim.verify.bench > build/hardware_speed.md
	mv build/hardware_speed.md docs/

bench-algo: venv
	$(RUN) -m sparsat.algo.bench

registers: venv
	$(RUN) -m sparsat.hw.register_map > docs/registers.md

isa-fields: venv
	$(RUN) -m sparsat.hw.isa.fields > docs/isa_fields.md

requirements:
	@for tool in g++ perl; do command -v $$tool >/dev/null || { \
	  echo "$$tool is missing: install g++ and perl (on Debian: apt install g++ make perl)" >&2; \
	  exit 1; }; done
	@'$(PYTHON)' -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or later with venv is missing: install it (on Debian: apt install python3 python3-venv)" >&2; \
	  exit 1; }
