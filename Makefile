# tare's build. The commands a user needs:
#
#   make            tare, the null and the native engine (C compiler and small Debian libraries)
#   make compare    fresh machine to table: packages, environments, build, comparison
#   make test       fresh machine to proof: packages, environments, build, every test
#   make quick      the tests that need no framework (under a minute)
#   make engines    environments of the frameworks, and the engines that need them
#   make fuzz       libFuzzer over every parser (SECONDS=60 in all)
#   make fuzz-long  the same for hours (HOURS=1)
#   make torture    kills, signals, full disks, flipped bits: what must survive, counted (10 minutes)
#   make torture-long    the same with every case: doc/torture-long.md; KINDS="kills signals": only these
#   make bench-harness   what the harness itself costs
#   make bench-load      data: .gz to arrays, cache to arrays, exec to the first step (DATA=folder of the .gz files)
#   make bench-deploy    what exporting and running a model costs: binding, export, tare bench
#   make bench-engines   are the controlled engines at their best; A/A runs of each (half an hour)
#   make bench-native    what the native engine reaches, beside the engines and the machine's own bounds
#   make certify-long    every engine against the reference on 20 seeds: doc/certify-long.md
#   make format clean clean-env install
#
# Two variants are built from one set of rules: build/ (optimised) and build/san/ (ASan + UBSan,
# which the tests run). Objects of files listed in TYPED are compiled twice, for float32 and
# float64 (src/net/real.h).

BUILD ?= build
CC ?= cc
CFLAGS ?= -O2 -g
prefix ?= /usr/local
libexecdir ?= $(prefix)/libexec
PKGS = jansson zlib libdeflate libpng nettle libcurl
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
       -Wvla -Werror=switch -Werror=implicit-function-declaration
STD = -std=c17 -D_GNU_SOURCE -ffp-contract=off
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CPPFLAGS += -Iinclude -Isrc $(PKG_CFLAGS) -DTARE_LIBEXECDIR='"$(libexecdir)/tare"'
# V=1 shows the commands.
Q := $(if $(V),,@)
COMPILE = $(CC) $(STD) $(WARN) $(CFLAGS) $(ISA) $(SAN) $(CPPFLAGS) -MMD -MP
LINK = $(CC) $(CFLAGS) $(SAN)
LDLIBS = -Wl,--as-needed $(PKG_LIBS) -lm

# ---- what there is to build -------------------------------------------------------------------
SRCS := $(wildcard src/*/*.c)
TYPED := $(wildcard src/net/op_*.c) \
         $(filter-out src/engine/native_%,$(filter src/engine/%,$(SRCS)))
PLAIN := $(filter-out $(TYPED),$(SRCS))
LIB_OBJS := $(PLAIN:%.c=$(BUILD)/obj/%.o) $(TYPED:%.c=$(BUILD)/obj/%.f32.o) $(TYPED:%.c=$(BUILD)/obj/%.f64.o)
LIB := $(BUILD)/libtare.a
CLI_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cli/*.c))
# Engines in C; they open their runtimes when they run, so these build everywhere.
C_ENGINES := null native litert onnxruntime libtorch
C_ENGINE_PROGRAMS := $(C_ENGINES:%=$(BUILD)/tare-engine-%)
# The half that all of them share.
ENGINE_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard engines/engine_*.c))
PY_ENGINES := keras pytorch jax
PROGRAMS := $(BUILD)/tare $(BUILD)/tare-launch $(C_ENGINE_PROGRAMS)
TEST_NAMES := $(patsubst tests/test_%.c,%,$(wildcard tests/test_*.c))
TEST_PROGRAMS := $(TEST_NAMES:%=$(BUILD)/test_%)
# One program, many names: tests/bad_engines does what the name it is called by says.
BAD_NAMES := $(shell sed -n 's/^    X.\([a-z_]*\),.*/\1/p' tests/bad_engines/bad.h 2>/dev/null)
BAD_ENGINES := $(BAD_NAMES:%=$(BUILD)/bad_engines/tare-engine-%)
# The same for engines that do other work than they were asked for.
FAULTY_NAMES := $(shell sed -n 's/^    X.\([a-z_]*\),.*/\1/p' tests/faulty_engines/faulty.c 2>/dev/null)
FAULTY_ENGINES := $(FAULTY_NAMES:%=$(BUILD)/faulty_engines/tare-engine-%)
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

.PHONY: all engines compare test quick fuzz fuzz-long bench-harness format check-format clean clean-env install \
        packages

all: have-libraries $(PROGRAMS) $(EXAMPLES)

.PHONY: have-libraries
have-libraries:
	@scripts/packages.sh --check build

# ---- objects and programs ---------------------------------------------------------------------
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(COMPILE) -c $< -o $@
$(BUILD)/obj/%.f32.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(COMPILE) -DTARE_REAL_F32 -c $< -o $@
$(BUILD)/obj/%.f64.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(COMPILE) -DTARE_REAL_F64 -c $< -o $@

# The reference's inner loops are plain C that the compiler may vectorise; -O3 asks it to. Without
# -fno-math-errno a square root is a call; it changes no result.
$(TYPED:%.c=$(BUILD)/obj/%.f32.o) $(TYPED:%.c=$(BUILD)/obj/%.f64.o): CFLAGS += -O3 -fno-math-errno

# Each of these is called only where the processor has its instructions (src/kernel/dispatch.c). On another
# architecture they aren't built.
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
$(BUILD)/obj/src/kernel/avx2.o: ISA = -mavx2 -mfma -mbmi2 -mpopcnt
$(BUILD)/obj/src/kernel/avx512.o: ISA = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mbmi2 -mpopcnt
$(BUILD)/obj/src/kernel/int8_avx2.o: ISA = -mavx2 -mbmi
$(BUILD)/obj/src/kernel/int8_vnni.o: ISA = -mavx512f -mavx512bw -mavx512vnni -mpopcnt
else
LIB_OBJS := $(filter-out %/avx2.o %/avx512.o %/int8_avx2.o %/int8_vnni.o,$(LIB_OBJS))
endif

$(LIB): $(LIB_OBJS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(BUILD)/tare: $(CLI_OBJS) $(LIB)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -o $@
# Tiny on purpose: an engine's peak memory includes what its parent had at fork.
$(BUILD)/tare-launch: $(BUILD)/obj/engines/launch.o $(BUILD)/obj/src/base/children.o
	@echo "  LINK $@"
	$(Q)$(LINK) $^ -o $@
$(C_ENGINE_PROGRAMS): $(BUILD)/tare-engine-%: $(BUILD)/obj/engines/%.o $(ENGINE_OBJS) $(LIB)
	@echo "  LINK $@"
	$(Q)$(LINK) $(filter %.o,$^) $(LIB) $(LDLIBS) -ldl -o $@
# The plain reference beside the fast one.
$(BUILD)/tare-engine-native $(BUILD)/bench_engines/tare-engine-native: $(BUILD)/obj/engines/native_plain.o
$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -o $@

# The C++ half of the engine libtorch: in `all` where its environment is found, which is looked for
# where the engine itself looks; compiled anew when that is another one. It names no folder: the
# engine opens LibTorch's libraries first, and the loader takes those.
CXX ?= c++
CXX_WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion
TORCH_SHIM := $(BUILD)/tare-torch-shim.so
ifdef TARE_PYTHON_TORCH
TORCH_SITE := $(shell '$(TARE_PYTHON_TORCH)' -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
else
TORCH_SITE := $(shell sed -n 's|^torch /.* \(/.*\) [0-9]*$$|\1|p' $(BUILD)/environments $(BUILD)/../environments 2>/dev/null | head -n 1)
endif
TORCH_INCLUDE = -isystem '$(TORCH_SITE)/torch/include' \
                -isystem '$(TORCH_SITE)/torch/include/torch/csrc/api/include'
all: $(if $(TORCH_SITE),$(TORCH_SHIM))
.PHONY: FORCE
$(BUILD)/obj/torch_site: FORCE
	@mkdir -p $(@D)
	@echo '$(TORCH_SITE)' | cmp -s - $@ || echo '$(TORCH_SITE)' > $@
$(BUILD)/obj/engines/torch_shim.o: engines/torch_shim.cc $(BUILD)/obj/torch_site
	@mkdir -p $(@D)
	@echo "  CXX  $@"
	$(Q)$(CXX) -std=c++20 -fPIC $(CXX_WARN) $(CFLAGS) $(SAN) $(TORCH_INCLUDE) -MMD -MP -c $< -o $@
$(TORCH_SHIM): $(BUILD)/obj/engines/torch_shim.o
	@echo "  LINK $@"
	$(Q)$(CXX) $(CFLAGS) $(SAN) -shared $< -L'$(TORCH_SITE)/torch/lib' -ltorch_cpu -lc10 -o $@

# The engine tensorflow is compiled against the headers of its environment, found where the engine
# finds the library itself: in `all` where there is one, and compiled anew when it is another.
TENSORFLOW_ENGINE := $(BUILD)/tare-engine-tensorflow
TENSORFLOW_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard engines/tensorflow*.c))
ifdef TARE_PYTHON_TENSORFLOW
TENSORFLOW_SITE := $(shell '$(TARE_PYTHON_TENSORFLOW)' -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
else
TENSORFLOW_SITE := $(shell sed -n 's|^tensorflow /.* \(/.*\) [0-9]*$$|\1|p' $(BUILD)/environments $(BUILD)/../environments 2>/dev/null | head -n 1)
endif
all: $(if $(TENSORFLOW_SITE),$(TENSORFLOW_ENGINE))
$(BUILD)/obj/tensorflow_site: FORCE
	@mkdir -p $(@D)
	@echo '$(TENSORFLOW_SITE)' | cmp -s - $@ || echo '$(TENSORFLOW_SITE)' > $@
$(TENSORFLOW_OBJS): $(BUILD)/obj/tensorflow_site
$(TENSORFLOW_OBJS): CPPFLAGS += -isystem '$(TENSORFLOW_SITE)/tensorflow/include' -I$(BUILD)/gen
# Its helper travels inside the program, as a string a line.
$(BUILD)/gen/tensorflow_savedmodel.inc: engines/tensorflow_savedmodel.py
	@mkdir -p $(@D)
	$(Q)sed 's/["\\]/\\&/g;s/.*/"&\\n",/' $< > $@
$(BUILD)/obj/engines/tensorflow_epoch.o: $(BUILD)/gen/tensorflow_savedmodel.inc
$(TENSORFLOW_ENGINE): $(TENSORFLOW_OBJS) $(ENGINE_OBJS) $(LIB)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -ldl -o $@

# The tutorials chapter of doc/method.md is what --explain-setup prints: one source for both.
$(BUILD)/gen/setup_lines.inc: doc/method.md
	@mkdir -p $(@D)
	$(Q)sed -n '/^<!-- tutorials -->/,/^<!-- end of tutorials -->/{/^<!--/d;s/["\\]/\\&/g;s/.*/"&",/;p}' $< > $@
$(BUILD)/obj/cli/cli.o: $(BUILD)/gen/setup_lines.inc
$(BUILD)/obj/cli/cli.o: CPPFLAGS += -I$(BUILD)/gen

# ---- environments and Python engines ----------------------------------------------------------
engines: have-libraries
	@scripts/environments.sh make all
	@$(MAKE) --no-print-directory all
	@scripts/python-engines.sh $(BUILD) $(PY_ENGINES)
packages:
	@scripts/packages.sh
clean-env:
	@scripts/environments.sh clean

compare:
	@scripts/packages.sh run
	@$(MAKE) --no-print-directory -s -j$$(nproc) all >&2
	@$(MAKE) --no-print-directory -s engines >&2
	@$(BUILD)/tare compare $(ARGS)

# ---- tests ------------------------------------------------------------------------------------
SAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TEST_LIBS = $$(pkg-config --libs cmocka libmicrohttpd libzip)
$(BUILD)/test_%: $(BUILD)/obj/tests/test_%.o $(LIB)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) $(TEST_LIBS) -o $@
$(BUILD)/bad_engines/bad: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bad_engines/*.c)) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -lpthread -o $@
$(BAD_ENGINES): $(BUILD)/bad_engines/bad
	@ln -f $< $@
$(BUILD)/faulty_engines/faulty: $(BUILD)/obj/tests/faulty_engines/faulty.o $(ENGINE_OBJS) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -o $@
$(FAULTY_ENGINES): $(BUILD)/faulty_engines/faulty
	@ln -f $< $@
.PHONY: test-programs
test-programs: $(PROGRAMS) $(TEST_PROGRAMS) $(BAD_ENGINES) $(FAULTY_ENGINES) $(EXAMPLES)
.SECONDARY:

test:
	@scripts/packages.sh run test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@$(MAKE) --no-print-directory -s engines
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=build/san SAN="$(SAN_FLAGS)" CFLAGS="-O1 -g" test-programs
	@tests/run.sh all
quick:
	@scripts/packages.sh --check build test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=build/san SAN="$(SAN_FLAGS)" CFLAGS="-O1 -g" test-programs
	@tests/run.sh quick

# ---- fuzzing, benchmarks ----------------------------------------------------------------------
SECONDS ?= 60
fuzz:
	@scripts/packages.sh --check build test
	@$(MAKE) --no-print-directory -s -f tests/fuzz/fuzz.mk SECONDS=$(SECONDS) fuzz
fuzz-long:
	@scripts/packages.sh --check build test
	@$(MAKE) --no-print-directory -s -f tests/fuzz/fuzz.mk fuzz-long

.PHONY: certify-long
certify-long: engines
	@scripts/certify-long.sh $(BUILD)

.PHONY: bench-engines
bench-engines: engines
	@scripts/bench-engines.sh $(BUILD)

$(BUILD)/bench_%: $(BUILD)/obj/bench/%.o $(LIB)
	@echo "  LINK $@"
	$(Q)$(LINK) $(filter %.o,$^) $(LIB) $(LDLIBS) -o $@
bench-harness: all $(BUILD)/bench_harness
	@$(BUILD)/bench_harness

# Engines that say when their first step begins (bench/stamp.c).
BENCH_STAMPED := $(BUILD)/bench_engines/tare-engine-null $(BUILD)/bench_engines/tare-engine-native
$(BENCH_STAMPED): $(BUILD)/bench_engines/tare-engine-%: $(BUILD)/obj/bench/stamp.o $(BUILD)/obj/engines/%.o $(ENGINE_OBJS) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(LINK) -Wl,--wrap=tare_engine_main $(filter %.o,$^) $(LIB) $(LDLIBS) -ldl -o $@
.PHONY: bench-load
bench-load: all $(BUILD)/bench_load $(BENCH_STAMPED)
	@$(BUILD)/bench_load $(BUILD) $(or $(DATA),$(TARE_DATA)/mnist)

# An engine's own object around another main half (bench/binding.c).
BENCH_BINDINGS := $(BUILD)/bench_binding-onnxruntime $(BUILD)/bench_binding-litert
$(BENCH_BINDINGS): $(BUILD)/bench_binding-%: $(BUILD)/obj/bench/binding.o $(BUILD)/obj/engines/%.o $(LIB)
	@echo "  LINK $@"
	$(Q)$(LINK) -Wl,--wrap=dlsym $^ $(LDLIBS) -ldl -o $@
.PHONY: bench-deploy
bench-deploy: engines $(BENCH_BINDINGS) $(BUILD)/bench_export
	@scripts/bench-deploy.sh $(BUILD)

# The bounds that the native engine is held against, by loops compiled for this very processor.
$(BUILD)/obj/bench/native_machine.o: CFLAGS += -O3 -march=native \
    $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),-mprefer-vector-width=512)
$(BUILD)/bench_native: $(BUILD)/obj/bench/native_data.o $(BUILD)/obj/bench/native_machine.o
.PHONY: bench-native
bench-native:
	@scripts/packages.sh run bench || echo "bench-native: what these packages are for is left out" >&2
	@$(MAKE) --no-print-directory -s engines >&2
	@$(MAKE) --no-print-directory -s $(BUILD)/bench_native $(BUILD)/bench_int8 >&2
	@scripts/bench-native.sh $(BUILD) $(PARTS)

# ---- torture ----------------------------------------------------------------------------------
# tests/torture/X.c is a program, X.so.c a library to be preloaded; built without sanitizers.
TORTURE := $(patsubst tests/torture/%.c,$(BUILD)/torture/%,$(wildcard tests/torture/*.c))
$(BUILD)/torture/%.so: tests/torture/%.so.c
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(STD) $(WARN) $(CFLAGS) -fPIC -shared $< -ldl -o $@
$(BUILD)/torture/%: $(BUILD)/obj/tests/torture/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -o $@
$(BUILD)/obj/tests/torture/%.o: CPPFLAGS += -Itests
# The simulated laboratory: its world is linked before the library's clock, processes, search for
# engines and certificates.
SIM_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/sim/*.c))
$(BUILD)/torture/laboratory: $(BUILD)/obj/tests/torture/laboratory.o $(SIM_OBJS) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(LINK) $^ $(LDLIBS) -o $@
.PHONY: torture torture-long torture-programs
torture-programs: $(PROGRAMS) $(TORTURE) $(BAD_ENGINES)
torture torture-long:
	@scripts/packages.sh --check build test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all torture-programs
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=build/san SAN="$(SAN_FLAGS)" CFLAGS="-O1 -g" test-programs
	@tests/torture/run.sh $(if $(filter torture-long,$@),long,quick) $(KINDS)

# ---- the rest ---------------------------------------------------------------------------------
C_FILES = $(shell git ls-files '*.c' '*.h' '*.cc' 2>/dev/null)
format:
	clang-format -i $(C_FILES)
check-format:
	@clang-format --dry-run -Werror $(C_FILES)
clean:
	rm -rf build
install: all
	install -d $(DESTDIR)$(prefix)/bin $(DESTDIR)$(libexecdir)/tare $(DESTDIR)$(prefix)/share/man/man1
	install $(BUILD)/tare $(DESTDIR)$(prefix)/bin
	install $(BUILD)/tare-launch $(C_ENGINE_PROGRAMS) $(wildcard $(TENSORFLOW_ENGINE) $(TORCH_SHIM)) \
		$(DESTDIR)$(libexecdir)/tare
	install -m 644 doc/tare.1 $(DESTDIR)$(prefix)/share/man/man1

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
