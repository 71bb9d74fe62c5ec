# Fuzzing: clang's libFuzzer with ASan and UBSan over every parser that reads what others wrote.
#
#   make fuzz SECONDS=60 [SEED=1]
#
# shares the seconds between the targets fuzz_NAME.c, starting from corpus/NAME, and prints how many
# inputs each was given. A crash, a leak, a hang of 10 s or a broken round trip fails the run; the
# input is kept in build/fuzz. What is found on the way is kept in build/fuzz/corpus for next time.

SECONDS ?= 60
SEED ?= 0
FUZZ := build/fuzz
NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
CHECKS := address,undefined
LIB_FLAGS := -fsanitize=fuzzer-no-link,$(CHECKS) -fno-sanitize-recover=all -fno-omit-frame-pointer
PKGS := jansson zlib libpng libzip nettle libcurl

.PHONY: fuzz library
fuzz: $(NAMES:%=$(FUZZ)/fuzz_%)
	@share=$$(( $(SECONDS) / $(words $(NAMES)) )); [ $$share -ge 1 ] || share=1; failed=0; \
	for name in $(NAMES); do \
	    mkdir -p $(FUZZ)/corpus/$$name; \
	    if $(FUZZ)/fuzz_$$name $(FUZZ)/corpus/$$name tests/fuzz/corpus/$$name \
	        -max_total_time=$$share -seed=$(SEED) -timeout=10 -max_len=65536 -rss_limit_mb=2048 \
	        -print_final_stats=1 -artifact_prefix=$(FUZZ)/$$name- >$(FUZZ)/$$name.log 2>&1; then \
	        count=$$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ)/$$name.log); \
	        echo "fuzz $$name: $$count inputs in $$share s, no finding"; \
	    else \
	        failed=1; tail -n 40 $(FUZZ)/$$name.log; \
	        echo "fuzz $$name: FAILED; the input is $(FUZZ)/$$name-*, the log $(FUZZ)/$$name.log"; \
	    fi; \
	done; exit $$failed

$(FUZZ)/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(FUZZ)/libtare.a
	clang -std=c17 -D_GNU_SOURCE -Wall -Wextra -O1 -g -fsanitize=fuzzer,$(CHECKS) \
	    -fno-sanitize-recover=all -Iinclude -Isrc -Itests/fuzz $< $(FUZZ)/libtare.a \
	    $$(pkg-config --libs $(PKGS)) -lm -o $@

# The library's own rules, with the fuzzer's instrumentation; they know what is out of date.
$(FUZZ)/libtare.a: library
library:
	@$(MAKE) --no-print-directory -s -f Makefile BUILD=$(FUZZ) CC=clang CFLAGS="-O1 -g" \
	    SAN="$(LIB_FLAGS)" $(FUZZ)/libtare.a
