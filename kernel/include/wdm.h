/* SPDX-License-Identifier: MIT */
/* wdm.h - the driver model's umbrella: all that a portable driver may use. */
#pragma once

#include <ntdef.h>
#include <sal.h>
#include <bugcodes.h>
#include <rtl.h>
#include <interlocked.h>
#include <ke.h>
#include <ob.h>
#include <ps.h>
#include <ex.h>
#include <mm.h>
#include <io.h>
