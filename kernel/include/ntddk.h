/* SPDX-License-Identifier: MIT */
/* ntddk.h - the one header a driver includes. */
#pragma once

#include <wdm.h>
