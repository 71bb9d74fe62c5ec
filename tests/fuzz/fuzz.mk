# Fuzzing: clang's libFuzzer with ASan and UBSan over every parser that reads what others wrote.
#
#   make fuzz SECONDS=60 [SEED=1]     shared by the targets fuzz_NAME.c
#   make fuzz-long [HOURS=1]          the same for hours; what it finds is thinned out afterwards
#
# Targets run side by side, one per CPU, from corpus/NAME and from build/fuzz/corpus/NAME, where what
# is found on the way is kept for next time. Printed is how many inputs each was given, and what they
# are in all. A crash, a leak, a hang of 10 s, more than 2 GB or a broken promise fails the run; the
# input is kept in build/fuzz, with the command that gives it to its target again.
#
# TARE_FUZZ_PLAIN=1 in the environment leaves the formats to chance: what are the mutators worth?

SECONDS ?= 60
HOURS ?= 1
SEED ?= 0
JOBS ?= $(shell nproc)
FUZZ := build/fuzz
NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TARGETS := $(NAMES:%=$(FUZZ)/fuzz_%)
CHECKS := address,undefined
FLAGS := -fno-sanitize-recover=all -fno-omit-frame-pointer
PKGS := jansson zlib libdeflate libpng libzip nettle libcurl
SUB = @$(MAKE) --no-print-directory -s -f tests/fuzz/fuzz.mk -j$(JOBS)
share = $(shell s=$$(( $(1) * $(JOBS) / $(words $(NAMES)) )); echo $$(( s > 1 ? s : 1 )))

.PHONY: fuzz fuzz-long programs total library
fuzz:
	$(SUB) programs
	$(SUB) -k SHARE=$(call share,$(SECONDS)) $(NAMES:%=run-%)
	$(SUB) total
fuzz-long:
	$(SUB) programs
	$(SUB) -k SHARE=$(call share,3600 * $(HOURS)) $(NAMES:%=run-%)
	$(SUB) total
	$(SUB) $(NAMES:%=thin-%)

run-%:
	@mkdir -p $(FUZZ)/corpus/$*
	@if $(FUZZ)/fuzz_$* $(FUZZ)/corpus/$* tests/fuzz/corpus/$* \
	    -max_total_time=$(SHARE) -seed=$(SEED) -timeout=10 -max_len=65536 -rss_limit_mb=2048 \
	    -print_final_stats=1 -artifact_prefix=$(FUZZ)/$*- >$(FUZZ)/$*.log 2>&1; then \
	    count=$$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ)/$*.log); \
	    echo "fuzz $*: $$count inputs in $(SHARE) s, no finding"; \
	else \
	    tail -n 40 $(FUZZ)/$*.log; \
	    input=$$(sed -n 's/.*Test unit written to //p' $(FUZZ)/$*.log | tail -n 1); \
	    echo "fuzz $*: FAILED; again: $(FUZZ)/fuzz_$* $$input (the log: $(FUZZ)/$*.log)"; \
	    exit 1; \
	fi
total:
	@sed -n 's/^stat::number_of_executed_units: *//p' $(NAMES:%=$(FUZZ)/%.log) | \
	    awk '{ n += $$1 } END { printf "fuzz: %d inputs in all, %d targets, no finding\n", n, NR }'

# The fewest inputs that reach what all of them reach.
thin-%:
	@rm -rf $(FUZZ)/thin-$* && mkdir $(FUZZ)/thin-$*
	@$(FUZZ)/fuzz_$* -merge=1 $(FUZZ)/thin-$* tests/fuzz/corpus/$* $(FUZZ)/corpus/$* \
	    >$(FUZZ)/thin-$*.log 2>&1
	@rm -rf $(FUZZ)/corpus/$* && mv $(FUZZ)/thin-$* $(FUZZ)/corpus/$*
	@echo "fuzz $*: $$(ls $(FUZZ)/corpus/$* | wc -l) inputs kept"

# ---- the programs -----------------------------------------------------------------------------
# A command ends where its options have been read (fuzz_options.c).
$(FUZZ)/fuzz_options: WRAP := -Wl,--wrap=cli_parse,--wrap=cli_fail
programs: $(TARGETS)
$(TARGETS): $(FUZZ)/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(FUZZ)/mutate.o $(FUZZ)/libcli.a \
            $(FUZZ)/libtare.a
	clang -std=c17 -D_GNU_SOURCE -Wall -Wextra -O1 -g -fsanitize=fuzzer,$(CHECKS) $(FLAGS) \
	    -Iinclude -Isrc -Itests/fuzz $< $(FUZZ)/mutate.o $(WRAP) $(FUZZ)/libcli.a \
	    $(FUZZ)/libtare.a $$(pkg-config --libs $(PKGS)) -lm -o $@
# Not instrumented: its paths are nobody's coverage.
$(FUZZ)/mutate.o: tests/fuzz/mutate.c tests/fuzz/mutate.h | library
	clang -std=c17 -D_GNU_SOURCE -Wall -Wextra -O1 -g -fsanitize=$(CHECKS) $(FLAGS) -Iinclude \
	    -c $< -o $@

# The library's own rules, with the fuzzer's instrumentation; they know what is out of date.
CLI_OBJS := $(patsubst %.c,$(FUZZ)/obj/%.o,$(filter-out cli/main.c,$(wildcard cli/*.c)))
$(FUZZ)/libtare.a $(FUZZ)/libcli.a: library ;
library:
	@$(MAKE) --no-print-directory -s -f Makefile BUILD=$(FUZZ) CC=clang CFLAGS="-O1 -g" \
	    SAN="-fsanitize=fuzzer-no-link,$(CHECKS) $(FLAGS)" $(FUZZ)/libtare.a $(CLI_OBJS) >/dev/null
	@[ $(FUZZ)/libcli.a -nt cli ] && [ -z "$$(find $(CLI_OBJS) -newer $(FUZZ)/libcli.a)" ] || \
	    { rm -f $(FUZZ)/libcli.a && ar rcs $(FUZZ)/libcli.a $(CLI_OBJS); }
