# SPDX-License-Identifier: MIT
# The load program and its test.
noinst_PROGRAMS += tests/bench/rtgc-load
tests_bench_rtgc_load_SOURCES = \
	tests/bench/load.c tests/bench/load.h \
	tests/bench/load_options.c tests/bench/load_report.c \
	tests/bench/http.c tests/bench/http.h

TESTS += tests/bench/test_load.py
EXTRA_DIST += tests/bench/test_load.py

# The demo: a real service by itself and under rtgcd.
demo_files = \
	tests/bench/demo/app.py \
	tests/bench/demo/recorder/sitecustomize.py \
	tests/bench/demo/check_pauses.py \
	tests/bench/demo/cluster.py \
	tests/bench/demo/control.py \
	tests/bench/demo/measure.py \
	tests/bench/demo/plot.py \
	tests/bench/demo/processes.py \
	tests/bench/demo/report.py \
	tests/bench/demo/run.py
EXTRA_DIST += $(demo_files)
TESTS += tests/bench/test_check_pauses.py
EXTRA_DIST += tests/bench/test_check_pauses.py

# make demo: about three minutes. make bench [BENCH=NAME]: the goals, in full.
BENCHES = demo
BENCH = $(BENCHES)
run_demo = HAPROXY='$(HAPROXY)' $(PYTHON) -B $(srcdir)/tests/bench/demo/run.py --build .
bench_demo = $(run_demo) --results bench-results/demo --rounds 3 --strict

demo: all
	$(AM_V_at)$(run_demo) --results demo-results

bench: all
	$(AM_V_at)set -e; for name in $(BENCH); do \
		case $$name in \
		demo) $(bench_demo) ;; \
		*) echo "make bench: no such benchmark: $$name (there are: $(BENCHES))" >&2; exit 1 ;; \
		esac; \
	done
