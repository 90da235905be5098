/* SPDX-License-Identifier: MIT */
/*
 * sal.h - the source annotations that prototypes carry, with Microsoft's spelling.
 *
 * They say what the caller owes (its IRQL) and what the routine does to it. The compiler sees
 * nothing; a reader and a checker see the contract, and the routine's body asserts the same
 * contract in checked builds. Microsoft: "IRQL annotations for drivers", "Annotating locking
 * behavior".
 */
#pragma once

#define _In_
#define _Out_
#define _Inout_
#define _In_opt_
#define _Out_opt_
#define _Must_inspect_result_ __attribute__((warn_unused_result))
#define _IRQL_requires_(Irql)
#define _IRQL_requires_max_(Irql)
#define _IRQL_requires_min_(Irql)
#define _IRQL_requires_same_
#define _IRQL_raises_(Irql)
#define _IRQL_saves_
#define _IRQL_restores_
#define _Acquires_lock_(Lock)
#define _Releases_lock_(Lock)
#define _Requires_lock_held_(Lock)
#define _Function_class_(Name)
