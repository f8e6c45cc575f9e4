# SPDX-License-Identifier: Apache-2.0
# fvlm: `make help` lists the targets. Two do all their own set-up on Debian: demo and check.

BUILD   ?= build
CC      ?= cc
V       ?= 0
OPT     ?= -O3
SAN     ?=
PKG     := libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng
PACKAGES := build-essential pkg-config libzstd-dev libxxhash-dev libjansson-dev libpcre2-dev \
            libutf8proc-dev libjpeg62-turbo-dev libpng-dev libcmocka-dev

WARN    := -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror
# No -ffast-math, no contraction, no -march=native: one answer on every machine.
CFLAGS  := -std=c11 -D_GNU_SOURCE $(OPT) -g -ffp-contract=off -fno-math-errno -fno-trapping-math \
           $(WARN) $(SAN) -I. $(EXTRA_CFLAGS)
# Read only when something is compiled, so that set-up may install them first.
PKG_CFLAGS = $(shell $(PKG_ENV) pkg-config --cflags $(PKG))
PKG_LIBS   = $(shell $(PKG_ENV) pkg-config --libs $(PKG))
LDLIBS     = $(PKG_LIBS) -lm -lpthread

ROOMS    := format convert quant reference verify
SRC      := $(sort $(shell find $(ROOMS) -name '*.c'))
OBJ      := $(SRC:%.c=$(BUILD)/%.o)
LIB      := $(BUILD)/libfvlm.a
TEST_SRC := $(sort $(shell find $(addprefix tests/,$(ROOMS)) -name '*.c'))
TESTS    := $(TEST_SRC:%.c=$(BUILD)/%)
TEST_HELPERS := $(wildcard tests/support/*.c)
TOOLS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/tools/*.c))
BENCH    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
ifeq ($(V),0)
Q := @
endif

.PHONY: all programs setup demo check test tools asan arm64 deps format bench accuracy oracle fuzz install clean help
.SECONDARY:

all: $(BUILD)/fvlm  ## all: the binary, build/fvlm (the default)

$(BUILD)/fvlm: $(BUILD)/fvlm.o $(LIB)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_HELPERS:%.c=$(BUILD)/%.o) $(LIB)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(BUILD)/tests/tools/%: $(BUILD)/tests/tools/%.o $(LIB)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

# The tools that are made of test helpers.
$(BUILD)/tests/tools/checkpoint $(BUILD)/tests/tools/pixels: %: %.o $(TEST_HELPERS:%.c=$(BUILD)/%.o) $(LIB)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

setup:  # installs what is missing, through apt
	@tests/setup.sh $(PACKAGES)

demo: setup  ## demo: install what is missing, build, convert + quantize + verify + run the shipped model
	@$(MAKE) --no-print-directory -j2 all
	@tests/demo.sh $(BUILD)/fvlm

check: setup  ## check: install what is missing, build, run every test that needs no Python
	@$(MAKE) --no-print-directory -j2 test deps

programs: all $(TESTS) $(TOOLS)

test: programs
	@tests/run.sh $(BUILD) $(TESTS) $(wildcard tests/cli/*.sh)

asan:  ## asan: the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory -j2 test BUILD=build/asan OPT=-O1 \
	  SAN="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
       --param asan-instrumentation-with-call-threshold=100"  # or the kernels take minutes to compile

ARM64 := BUILD=build/arm64 CC=aarch64-linux-gnu-gcc PKG_ENV="PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig"
arm64:  ## arm64: cross-build for NEON (gcc-aarch64-linux-gnu, libraries for arm64); runs under qemu-aarch64
	@$(MAKE) --no-print-directory -j2 all build/arm64/tests/tools/activations $(ARM64)

deps: all  ## deps: check who may use whom, in #includes and in the objects' symbols (the table is in tests/deps.sh)
	@tests/deps.sh $(BUILD)

format:  ## format: clang-format every C file
	@clang-format -i $(shell git ls-files '*.c' '*.h')

oracle: all tools  ## oracle: the tests against PyTorch, timm, transformers, tokenizers, Pillow (needs Python)
	@tests/oracle/run.sh $(BUILD)

tools: $(TOOLS)  ## tools: small programs that print what one part does, for the oracle tests

accuracy: all $(BUILD)/tests/bench/accuracy  ## accuracy: exact match of the shipped model, f32 / int8 / int4, both activation modes
	@tests/bench/accuracy.sh $(BUILD)

bench: all $(BENCH)  ## bench: kernels and whole passes, in % of this CPU's own measured peak
	@tests/bench/run.sh $(BUILD)

fuzz:  ## fuzz: libFuzzer on what parses files from outside, FUZZ_SECONDS (60) a target (needs clang)
	@tests/fuzz/run.sh

install: all  ## install: PREFIX (default /usr/local): the binary and bash completion
	install -Dm755 $(BUILD)/fvlm $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/fvlm
	$(BUILD)/fvlm completion bash >$(BUILD)/completion.bash
	install -Dm644 $(BUILD)/completion.bash $(DESTDIR)$(or $(PREFIX),/usr/local)/share/bash-completion/completions/fvlm

clean:  ## clean: remove build/
	rm -rf build

help:  ## help: this list
	@sed -n 's/^[a-z0-9]*:.*## \(.*\)/  make \1/p' Makefile
