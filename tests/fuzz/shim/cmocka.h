/* SPDX-License-Identifier: MIT */
/*
 * cmocka.h - stands in for cmocka where a fuzz target includes a header of the host tests: a failed
 * assertion ends the process, which is what a fuzzer reports.
 */
#pragma once

#include "../fuzz.h"

#define assert_true(Condition) FUZZ_REQUIRE(Condition)
#define assert_false(Condition) FUZZ_REQUIRE(!(Condition))
#define assert_null(Pointer) FUZZ_REQUIRE((Pointer) == NULL)
#define assert_non_null(Pointer) FUZZ_REQUIRE((Pointer) != NULL)
#define assert_int_equal(First, Second) FUZZ_REQUIRE((First) == (Second))
#define assert_memory_equal(First, Second, Size) FUZZ_REQUIRE(memcmp(First, Second, Size) == 0)
#define _fail(File, Line) FuzzFail("an assertion of the kernel's", File, Line)

/* Named by host.h's macros only. */
#define CM_OUTPUT_TAP 0
#define cmocka_set_message_output(Format) ((void)(Format))
