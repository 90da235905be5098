/* SPDX-License-Identifier: MIT */
/* log.h - the log's less public side. */
#pragma once

#include "ki.h"

/* Makes the ring usable; before the first line. */
VOID KiInitializeLog(VOID);

VOID KiLogV(KI_LOG_LEVEL Level, PCSTR Format, va_list Arguments);
