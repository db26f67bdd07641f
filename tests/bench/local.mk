# SPDX-License-Identifier: MIT
# The load program and its test.
noinst_PROGRAMS += tests/bench/rtgc-load
tests_bench_rtgc_load_SOURCES = \
	tests/bench/load.c tests/bench/load.h \
	tests/bench/load_options.c tests/bench/load_report.c \
	tests/bench/http.c tests/bench/http.h

TESTS += tests/bench/test_load.py
EXTRA_DIST += tests/bench/test_load.py tests/bench/bench.py
EXTRA_DIST += tests/bench/snapshot/loop.py tests/bench/snapshot/run.py tests/bench/snapshot/server.py

# The demo: a real service by itself and under rtgcd.
demo_files = \
	tests/bench/demo/app.py \
	tests/bench/demo/recorder/sitecustomize.py \
	tests/bench/demo/check_pauses.py \
	tests/bench/demo/cluster.py \
	tests/bench/demo/control.py \
	tests/bench/demo/faults.py \
	tests/bench/demo/measure.py \
	tests/bench/demo/plot.py \
	tests/bench/demo/processes.py \
	tests/bench/demo/progress.py \
	tests/bench/demo/report.py \
	tests/bench/demo/run.py \
	tests/bench/demo/trace_events.py
EXTRA_DIST += $(demo_files)
EXTRA_DIST += tests/bench/gunicorn/run.py tests/bench/gunicorn/settings.py tests/bench/gunicorn/shop.py
demo_tests = \
	tests/bench/test_bench.py \
	tests/bench/test_check_pauses.py \
	tests/bench/test_demo.py \
	tests/bench/test_faults.py \
	tests/bench/test_gunicorn.py \
	tests/bench/test_python.py
TESTS += $(demo_tests)
EXTRA_DIST += $(demo_tests)

# What the Python module offers against what others have.
api_files = tests/bench/api/pool.py tests/bench/api/summary.py
EXTRA_DIST += $(api_files)

# Ranks in lockstep.
ranks_files = \
	tests/bench/ranks/hub.py \
	tests/bench/ranks/rank.py \
	tests/bench/ranks/run.py \
	tests/bench/ranks/timeline.py
EXTRA_DIST += $(ranks_files)

# All that is promised of Python.
EXTRA_DIST += \
	tests/bench/python/bars.py \
	tests/bench/python/cost.py \
	tests/bench/python/cost_loops.py \
	tests/bench/python/idle.py \
	tests/bench/python/idle_app.py \
	tests/bench/python/replicas.py \
	tests/bench/python/run.py \
	tests/bench/python/walk.py \
	tests/bench/python/walk_heap.py

# Memory shared between heaps.
EXTRA_DIST += \
	tests/bench/budgets/app.py \
	tests/bench/budgets/run.py

# What kills, hangs and overfills costs: the long runs, and the short ones of make check.
check_PROGRAMS += tests/bench/safety/mill
tests_bench_safety_mill_SOURCES = tests/bench/safety/mill.c
tests_bench_safety_mill_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_bench_safety_mill_LDADD = libruntime.la
check_PROGRAMS += tests/bench/safety/deaths
tests_bench_safety_deaths_SOURCES = tests/bench/safety/deaths.c
TESTS += tests/bench/test_safety.py
EXTRA_DIST += tests/bench/test_safety.py
EXTRA_DIST += \
	tests/bench/safety/ceilings.py \
	tests/bench/safety/kills.py \
	tests/bench/safety/restarts.py \
	tests/bench/safety/soak.py
safety_programs = tests/bench/safety/deaths tests/bench/safety/mill tests/daemon/swarm tests/sim/day
SAFETY_BENCHES = ceilings kills restarts soak
run_safety = $(PYTHON) -B $(srcdir)/tests/bench/safety/$$name.py --build .

# Leave from rtgcd beside leave from others.
check_PROGRAMS += tests/bench/grant/grant
tests_bench_grant_grant_SOURCES = tests/bench/grant/grant.c
tests_bench_grant_grant_CFLAGS = $(AM_CFLAGS) $(SYSTEMD_CFLAGS)
tests_bench_grant_grant_LDADD = libwire.la $(SYSTEMD_LIBS)
TESTS += tests/bench/test_grant.py
EXTRA_DIST += tests/bench/test_grant.py tests/bench/grant/run.py
run_grant = $(PYTHON) -B $(srcdir)/tests/bench/grant/run.py --build .

# What it costs others that somebody looks.
TESTS += tests/bench/test_seen.py
EXTRA_DIST += tests/bench/test_seen.py tests/bench/seen/run.py
run_seen = $(PYTHON) -B $(srcdir)/tests/bench/seen/run.py --build .

# What many heaps cost, beside the floors.
scale_programs = tests/bench/scale/herd tests/bench/scale/probe tests/bench/scale/ingest
check_PROGRAMS += $(scale_programs)
tests_bench_scale_herd_SOURCES = tests/bench/scale/herd.c tests/bench/scale/samples.h
tests_bench_scale_herd_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_bench_scale_herd_LDADD = libruntime.la
tests_bench_scale_probe_SOURCES = tests/bench/scale/probe.c tests/bench/scale/samples.h
tests_bench_scale_probe_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_bench_scale_probe_LDADD = libruntime.la
tests_bench_scale_ingest_SOURCES = tests/bench/scale/ingest.c tests/bench/scale/samples.h
tests_bench_scale_ingest_LDADD = libwire.la
TESTS += tests/bench/test_scale.py
EXTRA_DIST += tests/bench/test_scale.py tests/bench/scale/parts.py tests/bench/scale/run.py
run_scale = VALGRIND='$(VALGRIND)' $(PYTHON) -B $(srcdir)/tests/bench/scale/run.py --build .

# make demo: about three minutes. make bench [BENCH=NAME]: the goals, in full.
BENCHES = budgets cost demo faults grant gunicorn idle pool replicas scale seen snapshot summary together walk $(SAFETY_BENCHES)
BENCH = $(BENCHES)
demo_python = HAPROXY='$(HAPROXY)' $(PYTHON) -B
run_demo = $(demo_python) $(srcdir)/tests/bench/demo/run.py --build .
run_gunicorn = $(PYTHON) -B $(srcdir)/tests/bench/gunicorn/run.py --build .
run_together = $(PYTHON) -B $(srcdir)/tests/bench/ranks/run.py --build .
run_budgets = $(PYTHON) -B $(srcdir)/tests/bench/budgets/run.py --build .
run_snapshot = $(PYTHON) -B $(srcdir)/tests/bench/snapshot/run.py --build .
run_pool = PYTHON='$(PYTHON)' $(PYTHON) -B $(srcdir)/tests/bench/api/pool.py --build .
run_summary = PYTHON='$(PYTHON)' $(PYTHON) -B $(srcdir)/tests/bench/api/summary.py --build .
run_replicas = $(demo_python) $(srcdir)/tests/bench/python/replicas.py --build .
run_idle = $(PYTHON) -B $(srcdir)/tests/bench/python/idle.py --build .
run_cost = VALGRIND='$(VALGRIND)' $(PYTHON) -B $(srcdir)/tests/bench/python/cost.py --build .
run_walk = $(PYTHON) -B $(srcdir)/tests/bench/python/walk.py --build .
run_python = VALGRIND='$(VALGRIND)' PYTHON='$(PYTHON)' $(demo_python) $(srcdir)/tests/bench/python/run.py --build .
run_faults = $(demo_python) $(srcdir)/tests/bench/demo/faults.py --build .

demo: all
	$(AM_V_at)$(run_demo) --results demo-results

bench: all tests/bench/grant/grant tests/stress/storm $(safety_programs) $(scale_programs)
	$(AM_V_at)missed=; for name in $(BENCH); do \
		echo "bench $$name"; \
		case $$name in \
		demo) $(run_demo) --results bench-results/demo --rounds 3 --strict ;; \
		snapshot) $(run_snapshot) --results bench-results/snapshot ;; \
		pool) $(run_pool) --results bench-results/pool ;; \
		summary) $(run_summary) --results bench-results/summary ;; \
		gunicorn) $(run_gunicorn) --results bench-results/gunicorn ;; \
		replicas) $(run_replicas) --results bench-results/replicas ;; \
		idle) $(run_idle) --results bench-results/idle ;; \
		grant) $(run_grant) --results bench-results/grant ;; \
		seen) $(run_seen) --results bench-results/seen ;; \
		scale) $(run_scale) --results bench-results/scale ;; \
		cost) $(run_cost) --results bench-results/cost ;; \
		walk) $(run_walk) --results bench-results/walk ;; \
		python) $(run_python) --results bench-results/python ;; \
		faults) $(run_faults) --results bench-results/faults ;; \
		together) $(run_together) --results bench-results/together --rounds 3 --strict ;; \
		budgets) $(run_budgets) --results bench-results/budgets --rounds 3 --strict ;; \
		ceilings|kills|restarts|soak) $(run_safety) --results bench-results/$$name ;; \
		stress) $(run_stress) --results bench-results/stress ;; \
		peers) $(run_peers) --results bench-results/peers ;; \
		*) echo "make bench: no such benchmark: $$name (there are: $(BENCHES) python)" >&2; false ;; \
		esac || missed="$$missed $$name"; \
	done; \
	if test -n "$$missed"; then echo "make bench: not passed:$$missed" >&2; exit 1; fi

# What tests/python/local.mk defines.
BENCHES += stress peers
