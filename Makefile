# SPDX-License-Identifier: Apache-2.0
# fvlm: `make help` lists the targets. On Debian and Ubuntu, demo and check install what they need.

BUILD   ?= build
CC      ?= cc
AR      ?= ar
V       ?= 0
OPT     ?= -O3
SAN     ?=
WERROR  ?= 0
PREFIX  ?= /usr/local
# The schema of ONNX, from libonnx-dev, and the compiler that makes C of it.
ONNX_PROTO ?= $(firstword $(wildcard $(addsuffix /onnx/onnx.proto,/usr/include /usr/local/include /opt/homebrew/include)))
PROTOC_C   ?= $(if $(shell command -v protoc-c),protoc-c,protoc)
GENERATED  := $(BUILD)/generated
PKG     := libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng libwebp zlib libprotobuf-c

WARN    := -Wall -Wextra -Wshadow -Wconversion -Wvla $(if $(filter 1,$(WERROR)),-Werror)
# No -ffast-math, no contraction, no -march=native: one answer on every machine.
CFLAGS  := -std=c11 -D_GNU_SOURCE $(OPT) -g -ffp-contract=off -fno-math-errno -fno-trapping-math \
           -fPIC -fno-semantic-interposition $(WARN) $(SAN) -I. -I$(GENERATED) $(EXTRA_CFLAGS)
# Read only when something is compiled, so that set-up may install them first.
PKG_CFLAGS = $(shell $(PKG_ENV) pkg-config --cflags $(PKG))
PKG_LIBS   = $(shell $(PKG_ENV) pkg-config --libs $(PKG))
LDLIBS     = $(PKG_LIBS) -lm -lpthread

# The library is what does not belong to the command line; tests/exported.list names what programs may call.
ROOMS    := format convert quant reference verify
SRC      := $(sort $(shell find $(ROOMS) -name '*.c'))
COMMANDS := $(sort $(shell find $(ROOMS) -name 'cmd_*.c') $(wildcard format/cli/*.c verify/info/*.c verify/report/*.c))
LIB      := $(BUILD)/libfvlm.a
CLI      := $(BUILD)/commands.a
SHARED   := $(BUILD)/libfvlm.so
TEST_SRC := $(sort $(shell find $(addprefix tests/,$(ROOMS)) -name '*.c'))
TESTS    := $(TEST_SRC:%.c=$(BUILD)/%)
SCRIPTS  := $(wildcard tests/cli/*.sh) $(filter-out %/table.sh,$(wildcard tests/cases/*.sh))
HELPERS  := $(BUILD)/tests/support.a
TOOLS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/tools/*.c))
BENCH    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
ifeq ($(V),0)
Q := @
endif

.PHONY: all programs setup libraries demo check test cases tools asan tsan arm64 deps format bench accuracy oracle fuzz \
        install uninstall compile_commands.json clean help
.SECONDARY:

all: $(BUILD)/fvlm $(SHARED)  ## all: the binary build/fvlm, libfvlm.a and libfvlm.so (the default)

$(BUILD)/fvlm: $(BUILD)/fvlm.o $(CLI) $(LIB)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(CLI): $(COMMANDS:%.c=$(BUILD)/%.o)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(LIB): $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(COMMANDS),$(SRC))) $(GENERATED)/onnx.pb-c.o $(GENERATED)/sentencepiece.pb-c.o
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB) tests/exported.list
	$(Q)awk 'BEGIN { print "{ global:" } /^fvlm_/ { print $$1 ";" } END { print "local: *; };" }' tests/exported.list >$(BUILD)/libfvlm.map
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared $(if $(SAN),,-Wl,--no-undefined) -Wl,--version-script=$(BUILD)/libfvlm.map \
	  -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive -o $@ $(LDLIBS)

$(HELPERS): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(HELPERS) $(CLI) $(LIB)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# The package's name becomes the prefix of every symbol.
$(GENERATED)/onnx.pb-c.c: $(ONNX_PROTO) | libraries
	@mkdir -p $(@D)
	$(Q)sed 's/^package onnx;/package fvlm_onnx;/' $(ONNX_PROTO) >$(@D)/onnx.proto
	$(Q)$(PROTOC_C) --proto_path=$(@D) --c_out=$(@D) onnx.proto

$(GENERATED)/sentencepiece.pb-c.c: convert/vocabulary/sentencepiece.proto | libraries
	@mkdir -p $(@D)
	$(Q)$(PROTOC_C) --proto_path=$(<D) --c_out=$(@D) $(<F)

$(GENERATED)/%.pb-c.o: $(GENERATED)/%.pb-c.c
	$(Q)$(CC) $(CFLAGS) $(PKG_CFLAGS) -w -c -o $@ $<

$(patsubst %.c,$(BUILD)/%.o,$(wildcard convert/graph/*.c)): | $(GENERATED)/onnx.pb-c.c
$(patsubst %.c,$(BUILD)/%.o,$(wildcard convert/vocabulary/*.c tests/convert/vocabulary/*.c) tests/support/pieces.c): | $(GENERATED)/sentencepiece.pb-c.c

$(BUILD)/%.o: %.c Makefile | libraries
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

libraries:  # stops and names what is missing
	@$(PKG_ENV) ONNX_PROTO="$(ONNX_PROTO)" tests/setup.sh --check $(PKG)

setup:  # installs what is missing, where apt can; elsewhere names it
	@ONNX_PROTO="$(ONNX_PROTO)" tests/setup.sh --install $(PKG) cmocka

demo: setup  ## demo: install what is missing, build, convert + quantize + verify + run the shipped model
	@echo "building $(BUILD)/fvlm"
	@$(MAKE) --no-print-directory -j2 all
	@tests/demo.sh $(BUILD)/fvlm

check: setup  ## check: install what is missing, build, run every test that needs no Python
	@$(MAKE) --no-print-directory -j2 test deps

programs: all $(TESTS) $(TOOLS)

test: programs  ## test: run every test that needs no Python
	@CC="$(CC)" tests/run.sh $(BUILD) $(TESTS) $(SCRIPTS)

cases: programs  ## cases: every input that once went wrong beside its tests
	@tests/cases/table.sh $(BUILD)

# Scripts that compile or inspect; examples pasted from the help and the README, which other scripts run too; and two that
# compute for minutes what tests/reference/model_not_finite.c, tests/verify and tests/cli/verify.sh compute in seconds.
ASAN_OMITS := $(addprefix tests/cli/,arm64_bits.sh completion.sh deps.sh headers.sh help.sh install.sh plain_cc.sh \
  readme.sh setup.sh symbols.sh) tests/cases/numbers.sh tests/cases/verify.sh
asan:  ## asan: the same tests, but those in ASAN_OMITS, under AddressSanitizer and UndefinedBehaviorSanitizer
	@TEST_SECONDS=600 $(MAKE) --no-print-directory -j2 test BUILD=build/asan OPT=-O1 SCRIPTS="$(filter-out $(ASAN_OMITS),$(SCRIPTS))" \
	  SAN="-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer \
       --param asan-instrumentation-with-call-threshold=100"  # or the kernels take minutes to compile

# The tests that use threads: those that name them or run a model. Under ThreadSanitizer a test cannot have a malloc of its
# own, and tests/format/base/output.c ends without a result. threads.sh stands for the scripts.
TSAN_TESTS := $(patsubst %.c,build/tsan/%,$(filter-out tests/format/base/output.c $(shell grep -rlE --include=*.c \
  'include "tests/support/(own|failing)_malloc.h"' tests),$(shell grep -lE 'thread|pool|model_run\.h|ops_cases\.h' $(TEST_SRC))))
tsan:  ## tsan: the C tests that use threads, and all commands with five threads, under ThreadSanitizer
	@$(MAKE) --no-print-directory -j2 all $(TSAN_TESTS) BUILD=build/tsan OPT=-O2 SAN="-fsanitize=thread"
	@TEST_SECONDS=600 CC="$(CC)" tests/run.sh build/tsan $(TSAN_TESTS) tests/cli/threads.sh

ARM64 := BUILD=build/arm64 CC=aarch64-linux-gnu-gcc PKG_ENV="PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig"
arm64:  ## arm64: cross-build for NEON (gcc-aarch64-linux-gnu, libraries for arm64); runs under qemu-aarch64
	@$(MAKE) --no-print-directory -j2 all build/arm64/tests/tools/activations $(ARM64)

deps: all  ## deps: check who may use whom, in #includes and in the objects' symbols (the table is in tests/deps.sh)
	@tests/deps.sh $(BUILD)

format:  ## format: clang-format every C file
	@clang-format -i $(shell git ls-files '*.c' '*.h')

oracle: all tools  ## oracle: the tests against PyTorch, timm, transformers, onnxruntime, tokenizers, Pillow (needs Python)
	@tests/oracle/run.sh $(BUILD)

tools: $(TOOLS)  ## tools: small programs that print what one part does, for the oracle tests

accuracy: all $(BUILD)/tests/bench/accuracy  ## accuracy: exact match of the shipped model, f32 / int8 / int4, both activation modes
	@tests/bench/accuracy.sh $(BUILD)

bench: all $(BENCH)  ## bench: kernels and whole passes, in % of this CPU's own measured peak
	@tests/bench/run.sh $(BUILD)

fuzz:  ## fuzz: libFuzzer on every parser of outside data, FUZZ_SECONDS (60) a target (needs clang)
	@tests/fuzz/run.sh

# What install puts there, below $(DESTDIR)$(PREFIX); uninstall removes just that.
INSTALLED := bin/fvlm share/man/man1/fvlm.1 share/bash-completion/completions/fvlm \
             share/zsh/site-functions/_fvlm share/fish/vendor_completions.d/fvlm.fish
install: $(BUILD)/fvlm  ## install: the stripped binary, its man page and completion for bash, zsh and fish, below PREFIX (/usr/local)
	$(Q)for f in $(INSTALLED); do install -d -m755 "$(DESTDIR)$(PREFIX)/$${f%/*}"; done
	$(Q)install -m755 -s $(BUILD)/fvlm "$(DESTDIR)$(PREFIX)/bin/fvlm"
	$(Q)$(BUILD)/fvlm man >"$(DESTDIR)$(PREFIX)/share/man/man1/fvlm.1"
	$(Q)$(BUILD)/fvlm completion bash >"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/fvlm"
	$(Q)$(BUILD)/fvlm completion zsh >"$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_fvlm"
	$(Q)$(BUILD)/fvlm completion fish >"$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/fvlm.fish"
	$(Q)for f in $(filter share/%,$(INSTALLED)); do chmod 644 "$(DESTDIR)$(PREFIX)/$$f"; done

uninstall:  ## uninstall: remove what install put below PREFIX
	$(Q)for f in $(INSTALLED); do rm -f "$(DESTDIR)$(PREFIX)/$$f"; done

compile_commands.json: $(GENERATED)/onnx.pb-c.c $(GENERATED)/sentencepiece.pb-c.c  ## compile_commands.json: how every file is compiled, for editors and clang-tidy
	@for f in fvlm.c $(SRC) $(TEST_SRC) $(wildcard tests/support/*.c tests/tools/*.c tests/bench/*.c); do \
	  printf '{"directory": "%s", "file": "%s", "command": "%s -c %s"}\n' "$(CURDIR)" $$f '$(strip $(CC) $(CFLAGS) $(PKG_CFLAGS))' $$f; \
	done | sed '1s/^/[/; $$!s/$$/,/; $$s/$$/]/' >$@

clean:  ## clean: remove build/
	rm -rf build compile_commands.json

help:  ## help: this list
	@sed -n 's/^[a-z0-9_.]*:.*## \(.*\)/  make \1/p' Makefile
