/* SPDX-License-Identifier: MIT */
/*
 * test_mm_pool_free.c - test_mm_pool.c for the free build: no red zones, no poison, the same rules.
 */
#define DBG 0
#include "test_mm_pool.c"
