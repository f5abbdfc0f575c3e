# Each target makes its own virtual environment from nothing but Python 3.11 or newer.

PYTHON ?= python3.11
DEMO := .venv-demo
TEST := .venv-test
PICTURES_OF_DEMO := demo_pictures
PICTURE := $(PICTURES_OF_DEMO)/step_000001500/layer3_attention_overview_b0_h0.png
OPEN := $(if $(filter Darwin,$(shell uname)),open,xdg-open)

.PHONY: help demo test golden benchmarks gallery figures clean

help: ## say what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-11s %s\n", $$1, $$2 }'

demo: ## draw the three figures of layer 3, all heads, from the sample data (no torch needed)
	@echo "making the virtual environment $(DEMO) and installing igaviz with what it needs: up to a minute"
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet '.[html]'
	$(DEMO)/bin/igaviz render sample_data/healthy --layer 3 --head all --force --out $(PICTURES_OF_DEMO)
	@echo "these heads are healthy: look at one of them, then at what a sick run is told"
	@echo "next: $(OPEN) $(PICTURE)"
	@echo "next: $(DEMO)/bin/igaviz diagnose sample_data/diagonal_collapse"

test: $(TEST)/installed ## lint, type check, tests
	$(TEST)/bin/ruff check igaviz tests
	$(TEST)/bin/ruff format --check igaviz tests
	$(TEST)/bin/mypy
	$(TEST)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

$(TEST)/installed: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install --quiet torch==2.13.0
	$(TEST)/bin/pip install --quiet --editable '.[record,dev]'
	touch $@

golden: $(TEST)/installed ## write the texts anew that the tests hold `diagnose` to; read the difference
	GOLDEN=write $(TEST)/bin/python -m pytest tests/report/test_diagnosis.py -q

benchmarks: $(TEST)/installed ## measure speed; no test asserts a time
	$(TEST)/bin/python -m pytest tests/benchmarks --benchmark-only

gallery: $(TEST)/installed ## draw the pictures of docs/gallery.md anew
	$(TEST)/bin/python tests/gallery.py

PICTURES := docs/images/figures
DRAW := $(TEST)/bin/igaviz render sample_data/healthy --dpi 72 --force --out $(PICTURES)/new

figures: $(TEST)/installed ## draw the pictures of docs/figures.md anew
	$(DRAW) --figure heads,trajectory
	$(DRAW) --layer 0 --figure grid
	$(DRAW) --layer 3 --head 5 --figure effect,terms,separation,contacts
	$(TEST)/bin/igaviz compare sample_data/healthy --layer 1 --head 1 --force --out $(PICTURES)/new
	mv $(PICTURES)/new/trajectory.png $(PICTURES)
	mv $(PICTURES)/new/layer1_difference_b0_h1.png $(PICTURES)/difference.png
	cd $(PICTURES)/new/step_*; mv heads_type.png ../../heads.png; \
	for name in grid effect terms separation contacts; do mv *_$${name}_*.png ../../$$name.png; done
	rm -r $(PICTURES)/new

clean: ## remove both virtual environments, the pictures and the exports
	rm -rf $(DEMO) $(TEST) $(PICTURES_OF_DEMO) attention_vis attention_export
