/* SPDX-License-Identifier: MIT */
/*
 * pushlock.pml - the push lock: one word, and the stacks of those who wait.
 *
 * PURPOSE
 *   Models kernel/ex/pushlock.c: the two acquisitions, the two releases, the hand-over and the walk
 *   to the oldest block.
 *
 * STATE
 *   The word, (Top, Held, Count), and a block for each thread, numbered from 1. Threads acquire,
 *   shared or exclusive, and release, for ever, so each block is used again and again, as a stack
 *   is; with four threads, which is what it takes to have three wait, each does so ROUNDS times.
 *   Each Promela statement is one access to a word that others write at the same time; atomic
 *   and d_step stand for a compare-exchange, for the checker's bookkeeping, and for what only the
 *   one editor of the list reads and writes: that there is only one is asserted. An event that is
 *   set and then consumed is the bit Woken. Memory is sequentially consistent here.
 *
 * WHAT IS PROVED
 *   An exclusive owner is inside alone. Nobody touches the block of a thread that does not wait.
 *   One thread at a time edits the list. Whoever has pushed his block is let in after all that were
 *   pushed before, and nobody goes in past him. No state is stuck: no wake-up is lost. Under weak
 *   fairness whoever waits gets in (`ltl served`; the threads are alike).
 *
 * MUTANTS, and what each removes
 *   MUTANT_WAKE_FIRST       the order: who is let in is woken, and then unlinked
 *   MUTANT_NEWER_LATE       the read of the next block before this one's event is set
 *   MUTANT_ANY_SHARER       the count of sharers still inside: the first one to leave hands over
 *   MUTANT_COUNT_LOST       the count's move from the word to the first block
 *   MUTANT_STORE_WORD       the compare-exchange of the last unlinking: it cuts off who pushes
 *   MUTANT_ANSWER_KEPT      the correction of the walk's answer after an unlinking
 *   MUTANT_SHARER_PASSES    the look at who waits: a sharer goes in by the count in the word
 */
#ifndef THREADS
#define THREADS 3
#endif
#define IDS (THREADS + 1)

byte Top;
bit Held;
byte Count; /* sharers; while somebody waits it is in the oldest block */

byte Older[IDS];
byte Newer[IDS];
byte Oldest[IDS];
byte Sharers[IDS];
bit Exclusive[IDS];
bit Woken[IDS];

/* The checker's own view; no code reads it to decide anything. */
byte SharersInside;
byte OwnersInside;
byte Editors;
bit Live[IDS];    /* the block may be touched by others         */
bit Waiting[IDS]; /* pushed, and not inside yet                 */
byte Ahead[IDS];  /* that were waiting when this one was pushed */

#if THREADS == 3
#define NobodyWaits (!Waiting[1] && !Waiting[2] && !Waiting[3])
#else
#define NobodyWaits (!Waiting[1] && !Waiting[2] && !Waiting[3] && !Waiting[4])
#endif

ltl served { [] (Waiting[1] -> <> !Waiting[1]) }

inline NoteInside(exclusively)
{
    if
    :: exclusively -> OwnersInside++
    :: else -> SharersInside++
    fi;
    assert(OwnersInside == 0 || (OwnersInside == 1 && SharersInside == 0))
}

/* Goes in without having waited. */
inline NoteDirect(exclusively)
{
    NoteInside(exclusively);
    assert(NobodyWaits)
}

inline NotePush()
{
    Ahead[me] = 0;
    for (i : 1 .. THREADS)
    {
        if
        :: Waiting[i] -> Ahead[me]++
        :: else
        fi
    }
    i = 0;
    Live[me] = 1;
    Waiting[me] = 1
}

/* The blocks from answer to last have the lock. */
inline NoteLetIn()
{
    block = answer;
    do
    :: block == 0 -> break
    :: else ->
        assert(Waiting[block] && Ahead[block] == 0);
        Waiting[block] = 0;
        for (i : 1 .. THREADS)
        {
            if
            :: Waiting[i] && Ahead[i] > 0 -> Ahead[i]--
            :: else
            fi
        }
        i = 0;
        NoteInside(Exclusive[block]);
        block = (block == last -> 0 : Newer[block])
    od
}

/* What is in a block that nobody may touch makes no difference. */
inline ForgetBlock()
{
    Older[me] = 0;
    Newer[me] = 0;
    Oldest[me] = 0;
    Sharers[me] = 0;
    Exclusive[me] = 0;
    Woken[me] = 0;
    Ahead[me] = 0
}

/* The word as it was read: top, held, count. Pushes; on failure the caller reads it again. */
inline PushAndWait(exclusively)
{
    d_step {
        Exclusive[me] = exclusively;
        Older[me] = top;
        if
        :: top != 0
        :: else ->
            Oldest[me] = me;
#ifndef MUTANT_COUNT_LOST
            Sharers[me] = count
#endif
        fi
    };
    if
    :: d_step {
           Top == top && Held == held && Count == count ->
           Top = me;
           Count = 0;
           NotePush();
           pushed = 1
       }
    :: d_step {
           Top != top || Held != held || Count != count ->
           ForgetBlock();
           top = 0;
           held = 0;
           count = 0
       }
    fi;
    if
    :: pushed ->
        d_step {
            Woken[me] ->
            Live[me] = 0;
            ForgetBlock();
            pushed = 0;
            top = 0;
            held = 0;
            count = 0;
            entered = 1
        }
    :: !pushed
    fi
}

inline ReadWord()
{
    d_step { top = Top; held = Held; count = Count }
}

inline AcquireExclusive()
{
    do
    :: entered -> break
    :: !entered ->
        ReadWord();
        if
        :: !held ->
            if
            :: d_step { !Held -> Held = 1; held = 0; entered = 1; NoteDirect(1) }
            :: d_step { Held -> held = 0 }
            fi
        :: else -> PushAndWait(1)
        fi
    od
}

inline AcquireShared()
{
    do
    :: entered -> break
    :: !entered ->
        ReadWord();
        if
#ifdef MUTANT_SHARER_PASSES
        :: top != 0 && Sharers[top] != 0 ->
            if
            :: d_step {
                   Top == top && Sharers[top] != 0 ->
                   Sharers[top]++;
                   top = 0;
                   held = 0;
                   entered = 1;
                   NoteDirect(0)
               }
            :: d_step { Top != top || Sharers[top] == 0 -> top = 0; held = 0 }
            fi
#endif
        :: top == 0 && (!held || count != 0) ->
            if
            :: d_step {
                   Top == 0 && Held == held && Count == count ->
                   Held = 1;
                   Count++;
                   held = 0;
                   count = 0;
                   entered = 1;
                   NoteDirect(0)
               }
            :: d_step { Top != 0 || Held != held || Count != count -> held = 0; count = 0 }
            fi
        :: else -> PushAndWait(0)
        fi
    od
}

/* From top to the oldest block: answer. */
inline FindOldest()
{
    d_step { block = top; assert(Live[block]) };
    do
    :: d_step { Oldest[block] != 0 -> answer = Oldest[block]; block = 0 }; break
    :: d_step { Oldest[block] == 0 ->
           assert(Live[block] && Live[Older[block]]);
           Newer[Older[block]] = block;
           block = Older[block] }
    od;
    assert(Live[answer] && Live[top]);
    Oldest[top] = answer
}

/* The newest of those who go in with answer: last; the sharers among them: count. */
inline ChooseRun()
{
    d_step {
        last = answer;
        count = (Exclusive[answer] -> 0 : 1);
        do
        :: !Exclusive[answer] && last != top && !Exclusive[Newer[last]] ->
            last = Newer[last];
            assert(Live[last]);
            count++
        :: else -> break
        od
    }
}

/* answer to last, in their order of arrival */
inline WakeRun()
{
    block = answer;
    do
    :: block == 0 -> break
    :: else ->
#ifdef MUTANT_NEWER_LATE
        d_step { assert(Live[block]); Woken[block] = 1 };
        d_step {
            assert(block == last || Live[block]);
            block = (block == last -> 0 : Newer[block])
        }
#else
        d_step { assert(Live[block]); next = (block == last -> 0 : Newer[block]) };
        d_step { assert(Live[block]); Woken[block] = 1; block = next; next = 0 }
#endif
    od
}

inline HandOver()
{
    Editors++;
    do
    :: done -> break
    :: !done ->
        d_step { assert(Editors == 1); top = Top; assert(top != 0) };
        FindOldest();
        ChooseRun();
#ifdef MUTANT_WAKE_FIRST
        WakeRun();
#endif
        if
        :: last != top ->
            d_step { assert(Live[Newer[last]]); Sharers[Newer[last]] = count };
            d_step {
                assert(Live[top]);
#ifndef MUTANT_ANSWER_KEPT
                Oldest[top] = Newer[last];
#endif
                NoteLetIn();
                done = 1
            }
        :: last == top ->
            if
#ifdef MUTANT_STORE_WORD
            :: d_step { Top = 0; Count = count; NoteLetIn(); done = 1 }
#else
            :: d_step { Top == top -> Top = 0; Count = count; NoteLetIn(); done = 1 }
            :: Top != top
#endif
            fi
        fi
    od;
    done = 0;
    d_step { count = 0; top = 0; Editors-- };
#ifndef MUTANT_WAKE_FIRST
    WakeRun();
#endif
    answer = 0;
    last = 0
}

inline ReleaseExclusive()
{
    if
    :: d_step { Top == 0 -> assert(Held && Count == 0); OwnersInside--; Held = 0 }
    :: d_step { Top != 0 -> OwnersInside-- };
        HandOver()
    fi
}

inline ReleaseShared()
{
    do
    :: done -> break
    :: !done ->
        ReadWord();
        if
        :: top == 0 ->
            if
            :: d_step {
                   Top == 0 && Count == count ->
                   assert(Held && Count > 0);
                   SharersInside--;
                   Count--;
                   Held = (Count != 0);
                   done = 1
               }
            :: d_step { Top != 0 || Count != count -> held = 0; count = 0 }
            fi
        :: else ->
            FindOldest();
            d_step {
                assert(Live[answer] && Sharers[answer] > 0);
                SharersInside--;
                Sharers[answer]--;
                last = Sharers[answer];
                answer = 0;
                top = 0;
                held = 0;
                count = 0
            };
            if
#ifdef MUTANT_ANY_SHARER
            :: true -> last = 0; HandOver()
#else
            :: last == 0 -> HandOver()
            :: else -> last = 0
#endif
            fi;
            done = 1
        fi
    od;
    done = 0;
    held = 0;
    count = 0
}

active [THREADS] proctype Thread()
{
    byte me = _pid + 1;
    byte top, count, block, next, answer, last, i;
    bit held, entered, pushed, done;
#ifdef ROUNDS
    byte rounds;
#endif

    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS ->
        rounds++;
        AcquireExclusive();
        entered = 0;
        ReleaseExclusive()
    :: rounds < ROUNDS ->
        rounds++;
#else
    :: AcquireExclusive();
        entered = 0;
        ReleaseExclusive()
    ::
#endif
        AcquireShared();
        entered = 0;
        ReleaseShared()
    od
}
