# Flüsterwerk's commands. `make` lists them; README.md explains them.
#
# Everything runs in .venv, which `make venv` builds and every target that needs it calls. What a machine is like stands in
# .env (see .env.template), what a result depends on in params.yaml.

RECIPE ?= sample
GPUS ?= 1
NNODES ?= 1
NODE_RANK ?=
MASTER ?=
FSDP ?=
STAGE ?= train_german_model
MEMORY_GB ?=
FILE ?=
MODEL ?=
TRANSCRIBE_ARGS ?=
DVC_ARGS ?=
PYTEST_ARGS ?=
PYTHON ?= $(firstword $(foreach python,python3 python3.12 python3.11,$(shell $(python) -c $(IS_SUPPORTED) 2>/dev/null && echo $(python))) python3)
IS_SUPPORTED := 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))'

.DEFAULT_GOAL := help
.NOTPARALLEL:

# DVC runs stages in the user's $$SHELL unless told otherwise.
export SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export RECIPE GPUS NNODES NODE_RANK MASTER FSDP STAGE MEMORY_GB FILE MODEL

# Modules of scripts/asr that Make itself starts.
asr = env PYTHONPATH='$(CURDIR)/scripts' python -m asr
# A signal to Make reaches all that DVC has started. `exec`, or it would end the shell between them alone.
in_group = $(asr).process_group
# Go to the recipe's folder, with DVC's cache where CACHE_DIR wants it.
in_recipe = \
	folder=$$($(asr).environment recipe_dir "$$RECIPE") && cache=$$($(asr).environment cache_dir) && \
	if [ -n "$$cache" ]; then dvc config --local cache.dir "$$cache/dvc"; fi && \
	cd "$$folder"

.PHONY: help
help: ## this list
	@echo 'make TARGET [RECIPE=$(RECIPE)] [GPUS=$(GPUS)] [NNODES=2 NODE_RANK=0 MASTER=host:29500] [DVC_ARGS=--force] [PYTEST_ARGS=-x] [PYTHON=python3.12]'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'or a stage, with whatever it needs that has changed: $(PLAIN_STAGES) $(TRAININGS)' | fold -s -w 120

# ------------------------------------------------------------------------------------------------- the environment

.PHONY: venv
venv: .venv/installed ## the virtual environment, .venv (about 3 minutes)

.venv/installed: requirements_training.txt constraints.txt
	@'$(PYTHON)' -c $(IS_SUPPORTED) || { \
		echo "error: PYTHON=$(PYTHON) is not Python 3.11 or 3.12; install one and say make PYTHON=/its/path/python3.12" >&2; exit 1; }
	@echo 'Installing requirements_training.txt into .venv'
	@'$(PYTHON)' -m venv .venv
	@python -m pip install --quiet --disable-pip-version-check -r requirements_training.txt -c constraints.txt
	@touch $@

.venv/installed_dev: requirements_dev.txt .venv/installed
	@python -m pip install --quiet --disable-pip-version-check -r requirements_dev.txt -c constraints.txt
	@touch $@

.PHONY: constraints
constraints: .venv/installed_dev ## write the versions of everything in .venv into constraints.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; python -m pip freeze --all --exclude pip | grep -viE '^(torch|triton|nvidia-|cuda-)'; } > constraints.new
	@mv constraints.new constraints.txt && touch .venv/installed .venv/installed_dev

# ---------------------------------------------------------------------------------------------------- the pipeline

.PHONY: repro
repro: .venv/installed ## the whole pipeline of the recipe; only what has changed runs; prints the results
	@$(in_recipe) && exec $(in_group) dvc repro $(DVC_ARGS)
	@$(in_recipe) && if [ -f outputs/evaluation/metrics.json ]; then $(asr).report outputs/evaluation/metrics.json; fi

.PHONY: plan
plan: .venv/installed ## what repro would run at most; says more than `dvc repro --dry`, which stops at the first missing output
	@$(in_recipe) && dvc repro --dry --force-downstream $(DVC_ARGS)

.PHONY: lint-labels
lint-labels: .venv/installed ## check every row that the recipe's trainings will teach, and show the first windows
	@$(in_recipe) && python '$(CURDIR)/scripts/lint_labels.py'

.PHONY: train
train: train_german_model ## train_german_model

# Copy what a stage has made, a folder each, to where the user keeps models.
copy_models = $(in_recipe) && $(asr).model_copies '$(1)' "$$RECIPE" '$(2)'

.PHONY: export-ct2
export-ct2: convert_to_faster ## convert_to_faster, and a copy in MODEL_DIR/<recipe> if .env names a MODEL_DIR
	@$(call copy_models,$<)

.PHONY: export-ggml
export-ggml: convert_to_ggml ## convert_to_ggml, and a copy in MODEL_DIR/<recipe>, as export-ct2
	@$(call copy_models,$<)

.PHONY: export-onnx
export-onnx: convert_to_onnx ## convert_to_onnx, and a copy in MODEL_DIR/<recipe>/onnx-<dtype>
	@$(call copy_models,$<,onnx-)

.PHONY: push-to-hub
push-to-hub: .venv/installed ## the finished model and its card on the Hugging Face Hub, private (HUB_MODEL_ID in .env); else the card
	@$(in_recipe) && python '$(CURDIR)/scripts/push_to_hub.py'

.PHONY: evaluate
evaluate: evaluation ## evaluation, and its figures
	@$(in_recipe) && $(asr).report outputs/evaluation/metrics.json

.PHONY: has_file
has_file:
	@if [ -z "$$FILE" ]; then echo 'error: give a recording or a folder of them: make transcribe FILE=talk.mp4' >&2; exit 2; fi

.PHONY: transcribe
transcribe: has_file .venv/installed ## what is said in FILE=talk.mp4, or a folder; [MODEL=folder] [TRANSCRIBE_ARGS='--format srt --language de']
	@file=$$(realpath -m -- "$$FILE"); model=$$MODEL; if [ -e "$$model" ]; then model=$$(realpath -- "$$model"); fi; \
	$(in_recipe) && python '$(CURDIR)/scripts/transcribe.py' $${model:+--model "$$model"} $(TRANSCRIBE_ARGS) -- "$$file"

.PHONY: tensorboard
tensorboard: .venv/installed ## the training curves in a browser, until Ctrl-C
	@$(in_recipe) && $(asr).monitor

.PHONY: probe
probe: .venv/installed ## the largest device_batch that fits, by trying; [STAGE=finetune_whisper] [MEMORY_GB=16]
	@$(in_recipe) && python '$(CURDIR)/scripts/probe.py'

# One target a stage: the stage, and before it whatever it needs that has changed.
PLAIN_STAGES := sample_speech base_model prepare_audio pseudo_label extract_features merge_lora convert_to_faster convert_to_ggml convert_to_onnx evaluation
TRAININGS := train_german_model finetune_whisper

.PHONY: $(PLAIN_STAGES)
$(PLAIN_STAGES): .venv/installed
	@$(in_recipe) && exec $(in_group) dvc repro $(DVC_ARGS) $@

# DVC and TensorBoard run on the first of several machines; the others join its training, and read what it has prepared.
ifeq ($(or $(strip $(NODE_RANK)),0),0)
training = $(asr).monitor -- dvc repro $(DVC_ARGS) $@
else
training = python -P '$(CURDIR)/scripts/asr/launch.py' '$(CURDIR)/scripts/$@.py'
endif

.PHONY: $(TRAININGS)
$(TRAININGS): .venv/installed
	@$(in_recipe) && exec $(training)

# ------------------------------------------------------------------------------------------------------- the house

.PHONY: test
test: .venv/installed_dev ## the fast tests (minutes)
	@python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

.PHONY: test-slow
test-slow: .venv/installed_dev ## the slow tests: whole trainings and the whole pipeline
	@python -m pytest -m slow -n auto --dist loadfile $(PYTEST_ARGS)

.PHONY: test-browser
test-browser: .venv/installed_dev ## the evaluation's page in a real browser; needs Chromium (apt-get install -y chromium)
	@python -m pytest -m browser $(PYTEST_ARGS)

.PHONY: test-all
test-all: test test-slow test-browser ## all three

.PHONY: lint
lint: .venv/installed_dev ## ruff: mistakes and layout
	@ruff check . && ruff format --check .

.PHONY: clean
clean: .venv/installed ## remove the recipe's outputs, checkpoints and curves; all but the evaluation comes back from DVC's cache
	@$(in_recipe) && runs=$$($(asr).environment log_dir) && echo "removing $$PWD/outputs and $$runs" && rm -rf outputs "$$runs"
