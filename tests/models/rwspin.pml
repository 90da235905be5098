/* SPDX-License-Identifier: MIT */
/*
 * rwspin.pml - the reader/writer spin lock: a ticket lock for writers and a count of readers.
 *
 * PURPOSE
 *   Models kernel/ex/rwspinlock.c: ExAcquireSpinLockSharedAtDpcLevel,
 *   ExAcquireSpinLockExclusiveAtDpcLevel, ExTryConvertSharedSpinLockExclusive and the releases.
 *   Law L16. That the IRQL is raised before and lowered after is the same rule, with the same
 *   proof, as in ticket.pml, so IRQL and interrupts are left out here.
 *
 * STATE
 *   The word, (Readers, Serving, Next), and CPUs that each read, write or convert for ever. The
 *   tickets wrap at 4, the C's at 512: more than CPUs either way. Each Promela statement is one
 *   access to the word; atomic and d_step stand only for one locked instruction and for the
 *   checker's bookkeeping. Memory is sequentially consistent here.
 *
 * WHAT IS PROVED
 *   A writer is inside alone. No reader goes in while a writer waits or is inside. A conversion
 *   succeeds exactly if the caller is the only reader and no writer waits, at some instant between
 *   its first and its last access. Writers enter in the order in which they drew. No state is
 *   stuck. Under weak fairness every writer is served (`ltl served`; the CPUs are alike); for
 *   readers there is no such promise.
 *
 * MUTANTS, and what each removes
 *   MUTANT_READER_JOINS      a reader waits for waiting writers: here he joins readers who are in
 *   MUTANT_READER_ADDS       his compare-exchange: he looks, and then adds
 *   MUTANT_WRITER_IGNORES    the writer's wait for the readers who were inside when he drew
 *   MUTANT_CONVERT_ANY       a conversion's look at the tickets: it overtakes a writer who waits
 *   MUTANT_CONVERT_STORES    its compare-exchange: it looks, and then changes
 */
#define CPUS 3
#define WRAP 4

byte Readers;
byte Serving;
byte Next;

/* The checker's own view; no code reads it to decide anything. */
byte ReadersInside;
byte WritersInside;
byte Drawn;           /* writers that have drawn and not left            */
byte Ahead[CPUS];     /* writers still to be served before this CPU's    */
bit Waiting[CPUS];    /* a writer that has drawn and has not entered     */

ltl served { [] (Waiting[0] -> <> !Waiting[0]) }

inline NoteDraw()
{
    Ahead[me] = Drawn;
    Drawn++;
    Waiting[me] = 1
}

inline NoteWriterIn()
{
    Waiting[me] = 0;
    WritersInside++;
    assert(WritersInside == 1 && ReadersInside == 0);
    assert(Ahead[me] == 0)
}

inline NoteReaderIn()
{
    assert(Drawn == 0);
    ReadersInside++;
    assert(WritersInside == 0)
}

inline NoteWriterOut()
{
    WritersInside--;
    Drawn--;
    for (i : 0 .. CPUS - 1)
    {
        if
        :: Waiting[i] && Ahead[i] > 0 -> Ahead[i]--
        :: else
        fi
    }
    i = 0
}

/* load; if next == serving: cas (r, s, s) -> (r + 1, s, s) */
inline AcquireShared()
{
    do
    :: d_step { r = Readers; s = Serving; n = Next };
        if
#ifdef MUTANT_READER_JOINS
        :: n == s || r != 0 ->
#else
        :: n == s ->
#endif
#ifdef MUTANT_READER_ADDS
            d_step { Readers++; NoteReaderIn(); r = 0; s = 0; n = 0 };
            break
#else
            if
            :: d_step {
                   Readers == r && Serving == s && Next == n ->
                   Readers++;
                   NoteReaderIn();
                   r = 0;
                   s = 0;
                   n = 0
               };
               break
            :: Readers != r || Serving != s || Next != n
            fi
#endif
        :: else -> Readers != r || Serving != s || Next != n /* PAUSE until it changes */
        fi
    od
}

inline ReleaseShared()
{
    d_step { Readers--; ReadersInside-- }
}

inline AcquireExclusive()
{
    d_step { n = Next; Next = (Next + 1) % WRAP; NoteDraw() };
#ifdef MUTANT_WRITER_IGNORES
    d_step { Serving == n -> NoteWriterIn(); n = 0 }
#else
    d_step { Serving == n && Readers == 0 -> NoteWriterIn(); n = 0 }
#endif
}

/* The holder's load of serving, then one locked add. */
inline ReleaseExclusive()
{
    s = Serving;
    d_step { NoteWriterOut(); Serving = (s + 1) % WRAP; s = 0 }
}

inline Convert()
{
    d_step { r = Readers; s = Serving; n = Next };
    if
#ifdef MUTANT_CONVERT_ANY
    :: r != 1 ->
#else
    :: r != 1 || s != n ->
#endif
        skip
    :: else ->
#ifdef MUTANT_CONVERT_STORES
        d_step {
            Readers--; ReadersInside--; NoteDraw(); Next = (Next + 1) % WRAP; NoteWriterIn();
            converted = 1
        }
#else
        if
        :: d_step {
               Readers == r && Serving == s && Next == n ->
               assert(ReadersInside == 1);
               ReadersInside--;
               NoteDraw();
               Readers--;
               Next = (Next + 1) % WRAP;
               NoteWriterIn();
               converted = 1
           }
        :: d_step {
               Readers != r || Serving != s || Next != n ->
               assert(ReadersInside > 1 || Drawn > 0)
           }
        fi
#endif
    fi;
    d_step { r = 0; s = 0; n = 0 }
}

active [CPUS] proctype Cpu()
{
    byte me = _pid;
    byte r, s, n, i;
    bit converted;

    do
    :: AcquireShared();
        if
        :: ReleaseShared()
        :: Convert();
            if
            :: converted -> converted = 0; ReleaseExclusive()
            :: else -> ReleaseShared()
            fi
        fi
    :: AcquireExclusive();
        ReleaseExclusive()
    od
}
