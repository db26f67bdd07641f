# SPDX-License-Identifier: MIT
# What others send, made up. A target is tests/fuzz/TARGET.c; make check gives it the files of
# corpus/TARGET and found/TARGET (tests/fuzz/test_corpus.py), make fuzz has libFuzzer make up more.
FUZZ_TARGETS = config control core eventlog http session wire
FUZZ_SECONDS = 600
FUZZ_SEED = 0

fuzz_shared = tests/fuzz/replay.c tests/fuzz/fuzz.c tests/fuzz/fuzz.h
fuzz_inside = tests/fuzz/inside.c tests/fuzz/inside.h
fuzz_replay = client/ctl/ctl.c client/ctl/ctl.h client/ctl/text.c client/ctl/text.h \
	client/ctl/simulate.h client/ctl/simulate_figures.c client/ctl/simulate_heap.c \
	client/ctl/simulate_history.c client/ctl/simulate_log.c client/ctl/simulate_run.c
# The daemon's calls of these are inside.c's.
fuzz_wrap = -Wl,--wrap=loop_run,--wrap=clock_now,--wrap=timerfd_create,--wrap=timerfd_settime

check_PROGRAMS += \
	tests/fuzz/replay_config tests/fuzz/replay_control tests/fuzz/replay_core \
	tests/fuzz/replay_eventlog tests/fuzz/replay_http tests/fuzz/replay_session tests/fuzz/replay_wire
tests_fuzz_replay_config_SOURCES = tests/fuzz/config.c $(fuzz_shared)
tests_fuzz_replay_config_LDADD = libdaemon.la
tests_fuzz_replay_control_SOURCES = tests/fuzz/control.c $(fuzz_shared) $(fuzz_inside)
tests_fuzz_replay_control_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_replay_control_LDFLAGS = $(AM_LDFLAGS) $(fuzz_wrap)
tests_fuzz_replay_control_LDADD = libdaemon.la $(JANSSON_LIBS)
tests_fuzz_replay_core_SOURCES = tests/fuzz/core.c $(fuzz_shared) $(SIM_SOURCES)
tests_fuzz_replay_core_LDADD = libcore.la -lm
tests_fuzz_replay_eventlog_SOURCES = tests/fuzz/eventlog.c $(fuzz_shared) $(fuzz_replay)
tests_fuzz_replay_eventlog_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_replay_eventlog_LDADD = libreplay.la libcore.la $(JANSSON_LIBS)
tests_fuzz_replay_http_SOURCES = tests/fuzz/http.c $(fuzz_shared) $(fuzz_inside)
tests_fuzz_replay_http_LDFLAGS = $(AM_LDFLAGS) $(fuzz_wrap)
tests_fuzz_replay_http_LDADD = libdaemon.la
tests_fuzz_replay_session_SOURCES = tests/fuzz/session.c $(fuzz_shared) $(fuzz_inside)
tests_fuzz_replay_session_LDFLAGS = $(AM_LDFLAGS) $(fuzz_wrap)
tests_fuzz_replay_session_LDADD = libdaemon.la
tests_fuzz_replay_wire_SOURCES = tests/fuzz/wire.c $(fuzz_shared)
tests_fuzz_replay_wire_LDADD = libwire.la

TESTS += tests/fuzz/test_corpus.py tests/fuzz/test_arguments.py
EXTRA_DIST += tests/fuzz/test_corpus.py tests/fuzz/test_arguments.py tests/fuzz/arguments.py tests/fuzz/run.py tests/fuzz/corpus tests/fuzz/found \
	tests/fuzz/config.dict tests/fuzz/control.dict tests/fuzz/eventlog.dict tests/fuzz/http.dict

# ---- make fuzz: the same sources by clang, with libFuzzer and the sanitizers -----------------------
fuzz_cflags = -std=gnu11 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
fuzz_cppflags = $(DEFS) $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS) $(INIH_CFLAGS) $(SYSTEMD_CFLAGS)
fuzz_libs = $(EVENT_LIBS) $(SYSTEMD_LIBS) $(JANSSON_LIBS) $(INIH_LIBS) $(LIBS) -lm
fuzz_parts = $(libwire_la_SOURCES) $(libcore_la_SOURCES) $(libreplay_la_SOURCES) $(libdaemon_la_SOURCES) \
	$(SIM_SOURCES) $(fuzz_replay) $(fuzz_inside) tests/fuzz/fuzz.c
fuzz_objects = $(patsubst %.c,tests/fuzz/clang/%.o,$(sort $(filter %.c,$(fuzz_parts))))
fuzz_headers = $(addprefix $(srcdir)/,$(filter %.h,$(fuzz_parts)))
fuzz_programs = $(addprefix tests/fuzz/clang/fuzz_,$(FUZZ_TARGETS))

tests/fuzz/clang/%.o: %.c $(fuzz_headers) | daemon/interface.h
	@test '$(CLANG)' != no || { echo 'make fuzz: clang is missing: install clang-14 and' \
		'libclang-rt-14-dev, or run ./bootstrap' >&2; exit 1; }
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CLANG) $(fuzz_cppflags) $(fuzz_cflags) -fsanitize=fuzzer-no-link \
		-c -o $@ $<
tests/fuzz/clang/parts.a: $(fuzz_objects)
	$(AM_V_AR)rm -f $@ && ar crs $@ $(fuzz_objects)
$(fuzz_programs): tests/fuzz/clang/fuzz_%: tests/fuzz/clang/tests/fuzz/%.o tests/fuzz/clang/parts.a
	$(AM_V_CCLD)$(CLANG) $(fuzz_cflags) -fsanitize=fuzzer $(fuzz_wrap) -o $@ $< \
		tests/fuzz/clang/parts.a $(fuzz_libs)

# make fuzz [FUZZ_TARGETS=wire] [FUZZ_SECONDS=60] [FUZZ_SEED=1]: with -j2 two targets at a time.
# Seed 0 is another one each time.
.PHONY: fuzz fuzz-arguments fuzz-programs $(addprefix fuzz-,$(FUZZ_TARGETS))
fuzz: $(addprefix fuzz-,$(FUZZ_TARGETS)) fuzz-arguments
# The Python module's functions; a third of the time each without rtgc's help, with it, and with a daemon.
fuzz-arguments: all
	@$(AM_TESTS_ENVIRONMENT) RTGC_ARGUMENTS_SECONDS=$$(($(FUZZ_SECONDS) / 3)) \
		RTGC_ARGUMENTS_SEED=$(FUZZ_SEED) \
		$(PYTHON) $(srcdir)/tests/run_pytest.py $(srcdir)/tests/fuzz/test_arguments.py
fuzz-programs: $(fuzz_programs)
$(addprefix fuzz-,$(FUZZ_TARGETS)): fuzz-%: tests/fuzz/clang/fuzz_%
	@$(PYTHON) -B $(srcdir)/tests/fuzz/run.py --corpus $(srcdir)/tests/fuzz --results fuzz-results \
		--seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) $<

clean-local: clean-fuzz
.PHONY: clean-fuzz
clean-fuzz:
	rm -rf tests/fuzz/clang fuzz-results
