/* SPDX-License-Identifier: MIT */
/*
 * dpc.pml - queueing a DPC, asking its CPU to look, draining the queue, going idle.
 *
 * PURPOSE
 *   Models kernel/ke/dpc.c (KeInsertQueueDpc, KeRemoveQueueDpc, KiRetireDpcList), and the places
 *   that drain: the 0x2F interrupt, the exit of an interrupt, KeLowerIrql and the idle loop. Laws
 *   L19-L22, L24, L25, L28, L30, L32; mistakes R-a to R-d and R-r.
 *
 * STATE
 *   Two CPUs, two KDPCs. KDPC 0 is targeted, and retargeted at any moment; KDPC 1 runs on the CPU
 *   that inserts it. On each CPU there are three stack frames that may lie on top of one another:
 *   the thread, the 0x2F interrupt (only when IRQL < 2), a device interrupt (only when IRQL < 3).
 *   Threads, device interrupts and DPC routines insert whatever they like, Low or not; threads
 *   also remove and retarget. In the end a thread computes for ever at PASSIVE_LEVEL, or its CPU
 *   goes idle. There is no clock tick: what is proved to run, runs without one.
 *   A queue is a set: any member may come next, so every mixture of High and Low is covered.
 *
 * THE PROTOCOL: what the C must do
 *   Claim     KDPC.DpcData is 0, or the queue that holds the KDPC. It leaves 0 only by a
 *             compare-exchange made under the lock of the queue that it then names; it returns to
 *             0 only under that same lock. So two inserts with different targets, which hold
 *             different locks, cannot both win; and whoever holds a queue's lock and reads that
 *             queue in DpcData knows that the KDPC is linked there, until the lock is released.
 *   Insert    Interrupts off. Read the target once. Lock that queue. Claim, or return FALSE and
 *             touch nothing. Only then write the arguments and the link. If the DPC is urgent
 *             (anything that its importance or the depth says must not wait for the tick), or the
 *             queue's CPU is idle: set Requested; if it was clear and the queue is another CPU's,
 *             send it 0x2F after the unlock. Interrupts on. A CPU that has inserted into its own
 *             queue sends nothing: below DISPATCH_LEVEL it now drains if Requested is set, and at
 *             or above it whoever lowers this CPU's IRQL will. The exception is a caller below
 *             DISPATCH_LEVEL who keeps interrupts off: it sends 0x2F to itself.
 *   Drain     At DISPATCH_LEVEL. Interrupts off, lock. If the queue is empty: clear Requested,
 *             unlock, interrupts on, lower the IRQL, and look at Requested again: an ISR may have
 *             inserted at DISPATCH_LEVEL, and its exit left that to us. An interrupt's exit looks
 *             with interrupts off, then restores CR8 and returns. Otherwise unlink one, copy all
 *             that is needed from it, and store 0 in DpcData last of all: from that store on the
 *             KDPC belongs to whoever inserts it next. Unlock, interrupts on, run it, again.
 *             To keep interrupts off from the look that finds the queue empty until CR8 is
 *             restored is as good, and needs no second look (INTERRUPTS_STAY_OFF, proved as well);
 *             so is to clear Requested each time that the lock is taken (CLEAR_EACH_TIME, proved
 *             as well), but then a CPU that is draining is sent more 0x2F than it needs.
 *   Remove    Interrupts off. Read DpcData; 0: FALSE. Lock the queue that it names (not the one
 *             that Number names), and look again: if DpcData has changed, FALSE, for there was a
 *             moment when the KDPC was not queued. Otherwise unlink, store 0 last, TRUE. Requested
 *             stays as it is: whoever has been asked to look still comes, and clears it.
 *   Lower     Write CR8, then read Requested. An interrupt exit does the same, interrupts off.
 *   Idle      Interrupts off, lock. Empty: set Idle, unlock, sti and hlt as one step. Not empty:
 *             drain. Idle stays set until the CPU has something else to do.
 *
 * STEPS
 *   One Promela step (a statement, an atomic or a d_step) holds at most one event that another CPU
 *   or an interrupt on this one could come before or after with a different outcome: an access
 *   without the lock, the taking of a lock, a change of CR8 or IF that lets something in. Joined
 *   to it are only the CPU's own state while its interrupts are off, data that its lock guards,
 *   and the release of the lock. The lock is a bit here; ticket.pml is about the lock. Memory is
 *   sequentially consistent: whatever two CPUs share is under a lock or changed by a locked
 *   instruction, and a CPU sees its own stores in order. What this leaves to the C: an IPI must
 *   not overtake the stores before it (a write of an x2APIC's ICR needs its fence).
 *   The frames are processes with a provided clause, so the checker runs without partial-order
 *   reduction (-DNOREDUCE).
 *
 * WHAT IS PROVED
 *   A KDPC is in at most one queue, and its link and arguments are not overwritten while it is
 *   there. Nobody unlinks what is not linked. At quiescence, when nothing can move any more, for
 *   each KDPC #TRUE inserts == #TRUE removes + #runs, and 1 more exactly if it is still queued;
 *   and it is still queued only if it was not urgent and its CPU is busy (it waits for the tick).
 *   No Requested is left over, and nothing is stuck.
 *
 * MUTANTS, and what each removes
 *   MUTANT_CLEARED_OUTSIDE_LOCK   Requested is cleared under the lock that saw the queue empty
 *   MUTANT_CHECK_BEFORE_LOWER     KeLowerIrql: first CR8, then the check
 *   MUTANT_NO_SECOND_LOOK         the look at Requested after a drain, in KiDrainAfterLower
 *   MUTANT_NO_LOOK_AT_EXIT        the same at an interrupt's exit
 *   MUTANT_CHECK_DEPTH            the check looks at the flag: after a remove (R-b) the depth is 0,
 *                                 the flag stays set for ever, and nobody is asked again
 *   MUTANT_IDLE_CHECKS_EARLY      the idle check: with interrupts off, and together with Idle = 1
 *   MUTANT_LOW_IGNORES_IDLE       an idle CPU is asked whatever the importance
 *   MUTANT_NO_IPI_TO_IDLE         0x2F to a halted CPU (R-c)
 *   MUTANT_NO_SELF_IPI            0x2F to oneself, below DISPATCH_LEVEL with interrupts off
 *   MUTANT_INTERRUPTS_ON          insert takes the lock with interrupts off: an ISR that inserts
 *                                 waits for the frame below it
 *   MUTANT_CLAIM_WITHOUT_CAS      the compare-exchange: two queues
 *   MUTANT_CLAIM_BEFORE_LOCK      claim under the lock: claimed is not yet linked
 *   MUTANT_DPCDATA_CLEARED_FIRST  DpcData = 0 last: the link is overwritten while it is read
 *   MUTANT_REMOVE_BY_NUMBER       remove takes the queue from DpcData (R-r)
 *   MUTANT_REMOVE_UNCHECKED       remove's second look, under the lock (R-a)
 */
#define CPUS 2
#define DPCS 2

/*
 * The calls of KeInsertQueueDpc (from 1 up to so many, 3 at most) and of KeRemoveQueueDpc (at most
 * so many) in one history. run.sh proves (2, 1) and (3, 0). (3, 1) holds too, but takes 18 million
 * states and 1.7 GB.
 */
#ifndef INSERTS
#define INSERTS 2
#endif
#ifndef REMOVES
#define REMOVES 1
#endif

#define PASSIVE_LEVEL 0
#define DISPATCH_LEVEL 2
#define DEVICE_LEVEL 3

/* The machine: CR8, RFLAGS.IF, vector 0x2F in the APIC's IRR, HLT, and the frame on top. */
#define THREAD 0
#define DISPATCH 1
#define DEVICE 2

byte Irql[CPUS];
bit InterruptsOn[CPUS] = 1;
bit Irr2F[CPUS];
bit Halted[CPUS];
byte Top[CPUS];

/* The DPC queue of each CPU. */
bit Lock[CPUS];      /* taken with interrupts off                                      */
byte Queue[CPUS];    /* the list, as a set: bit d is KDPC d. Under Lock                */
bit Requested[CPUS]; /* somebody will look. Written under Lock, read by its CPU freely */
bit Idle[CPUS];      /* set under Lock, by a CPU that has nothing else to do any more   */

/* The KDPCs. A queue is named by its CPU's number + 1; a target the same way, 0 being none. */
#define QUEUE_OF(cpu) ((cpu) + 1)

byte DpcData[DPCS]; /* see Claim                                            */
byte Number[DPCS];  /* KeSetTargetProcessorDpc writes it whenever it likes  */
byte Link[DPCS];    /* the list entry and the arguments: whose queue's      */

/* The checker's own view; no code reads it to decide anything but whether to go on. */
byte Owed[DPCS]; /* #TRUE inserts - #TRUE removes - #runs         */
byte Urgent;     /* the queued KDPCs that must not wait for a tick */
bit Busy[CPUS];  /* the thread computes for ever                  */
byte InsertsLeft;
byte RemovesLeft = REMOVES;

#define BIT(d) (1 << (d))
#define HAS(set, d) (((set) >> (d)) & 1)

/* Chooses a KDPC and its importance for one call of KeInsertQueueDpc. */
inline ChooseInsert()
{
    InsertsLeft--;
    if
    :: d = 0
    :: d = 1
    fi;
    if
    :: urgent = 0
    :: urgent = 1
    fi
}

/* KDPC d is unlinked from a queue whose lock is held; all that is needed of it is copied. */
inline Unlink(cpu)
{
    assert(HAS(Queue[cpu], d));
    assert(Link[d] == QUEUE_OF(cpu));
    Link[d] = 0;
    Queue[cpu] = Queue[cpu] & ~BIT(d);
    Urgent = Urgent & ~BIT(d)
}

/* (0) -> (queue), for KDPC d */
inline Claim()
{
    DpcData[d] = QUEUE_OF(queue);
    Owed[d]++
}

/* (queue) -> (0), for KDPC d */
inline Unclaim()
{
    DpcData[d] = 0;
    Owed[d]--
}

/* The caller is below DISPATCH_LEVEL, but keeps interrupts off: it cannot drain. */
#define NOBODY_LOOKS (Irql[me] < DISPATCH_LEVEL && !wereOn)

/* KeInsertQueueDpc, all but the drain of a caller below DISPATCH_LEVEL */
inline Insert()
{
    d_step {
        wereOn = InterruptsOn[me];
#ifndef MUTANT_INTERRUPTS_ON
        InterruptsOn[me] = 0;
#endif
        queue = (Number[d] == 0 -> me : Number[d] - 1)
    };

#ifdef MUTANT_CLAIM_BEFORE_LOCK
    d_step {
        if
        :: DpcData[d] == 0 -> Claim(); claimed = 1
        :: else
        fi
    };
    d_step { !Lock[queue] -> Lock[queue] = 1 };
#elif defined(MUTANT_CLAIM_WITHOUT_CAS)
    d_step { !Lock[queue] -> Lock[queue] = 1; claimed = (DpcData[d] == 0) };
    d_step {
        if
        :: claimed -> Claim()
        :: else
        fi
    };
#else
    d_step {
        !Lock[queue] -> Lock[queue] = 1;
        if
        :: DpcData[d] == 0 -> Claim(); claimed = 1
        :: else
        fi
    };
#endif

    if
    :: claimed ->
        d_step {
            assert(!HAS(Queue[0], d) && !HAS(Queue[1], d));
            Link[d] = QUEUE_OF(queue);
            Queue[queue] = Queue[queue] | BIT(d);
            if
            :: urgent -> Urgent = Urgent | BIT(d)
            :: else
            fi;
#ifndef MUTANT_LOW_IGNORES_IDLE
            urgent = urgent || Idle[queue];
#endif
            if
            :: urgent && !Requested[queue] ->
                Requested[queue] = 1;
#if defined(MUTANT_NO_IPI_TO_IDLE)
                send = (queue != me && !Idle[queue]) || NOBODY_LOOKS
#elif defined(MUTANT_NO_SELF_IPI)
                send = (queue != me)
#else
                send = (queue != me) || NOBODY_LOOKS
#endif
            :: else
            fi;
            Lock[queue] = 0
        }
    :: else -> Lock[queue] = 0
    fi;

    d_step {
        if
        :: send -> Irr2F[queue] = 1
        :: else
        fi;
        InterruptsOn[me] = wereOn;
        wereOn = 0;
        queue = 0;
        d = 0;
        urgent = 0;
        claimed = 0;
        send = 0
    }
}

/* KeRemoveQueueDpc */
inline Remove()
{
    d_step {
        InterruptsOn[me] = 0;
        data = DpcData[d];
#ifdef MUTANT_REMOVE_BY_NUMBER
        data = (data == 0 -> 0 : (Number[d] == 0 -> QUEUE_OF(me) : Number[d]))
#endif
    };
    if
    :: data == 0
    :: else ->
        d_step {
            !Lock[data - 1] -> Lock[data - 1] = 1;
#if defined(MUTANT_REMOVE_UNCHECKED)
            claimed = 1;
            Queue[data - 1] = Queue[data - 1] & ~BIT(d)
#elif defined(MUTANT_REMOVE_BY_NUMBER)
            claimed = (DpcData[d] != 0)
#else
            claimed = (DpcData[d] == data)
#endif
        };
#ifndef MUTANT_REMOVE_UNCHECKED
        d_step {
            if
            :: claimed -> Unlink(data - 1)
            :: else
            fi
        };
#endif
        d_step {
            if
            :: claimed -> Unclaim()
            :: else
            fi;
            Lock[data - 1] = 0
        }
    fi;
    d_step { InterruptsOn[me] = 1; data = 0; d = 0; claimed = 0 }
}

/*
 * Every drain begins below DISPATCH_LEVEL, and a routine runs at DISPATCH_LEVEL: so two DPCs never
 * overlap on one CPU (L24).
 */
inline RaiseToDrain()
{
    assert(Irql[me] < DISPATCH_LEVEL);
    Irql[me] = DISPATCH_LEVEL
}

/* CR8 = PASSIVE_LEVEL with interrupts off, then the iretq of an interrupt that drains, or sti. */
inline LeaveDispatchLevel()
{
    Irql[me] = PASSIVE_LEVEL;
    Top[me] = THREAD;
    InterruptsOn[me] = 1
}

/*
 * KiRetireDpcList. With INTERRUPTS_STAY_OFF also the way from DISPATCH_LEVEL back to PASSIVE_LEVEL,
 * and to the thread if an interrupt drains.
 */
inline Retire()
{
    do
    :: atomic {
           !Lock[me] ->
           Lock[me] = 1;
           InterruptsOn[me] = 0;
#ifdef CLEAR_EACH_TIME
           Requested[me] = 0;
#endif
           if
           :: Queue[me] == 0 ->
#ifndef MUTANT_CLEARED_OUTSIDE_LOCK
               Requested[me] = 0;
#endif
#ifdef INTERRUPTS_STAY_OFF
               LeaveDispatchLevel();
#else
               InterruptsOn[me] = 1;
#endif
               Lock[me] = 0;
               break
           :: HAS(Queue[me], 0) -> d = 0
           :: HAS(Queue[me], 1) -> d = 1
           fi;
#ifndef MUTANT_DPCDATA_CLEARED_FIRST
           Unlink(me)
#endif
       };
#ifdef MUTANT_DPCDATA_CLEARED_FIRST
       d_step { Unclaim() };
       d_step { Unlink(me); Lock[me] = 0; InterruptsOn[me] = 1; d = 0 };
#else
       d_step { Unclaim(); Lock[me] = 0; InterruptsOn[me] = 1; d = 0 };
#endif
       /* the routine */
       if
       :: atomic { InsertsLeft > 0 -> ChooseInsert() };
          Insert()
       :: true
       fi
    od;
#ifdef MUTANT_CLEARED_OUTSIDE_LOCK
    Requested[me] = 0
#endif
}

#ifdef MUTANT_CHECK_DEPTH
#define MUST_DRAIN (Queue[me] != 0)
#else
#define MUST_DRAIN (Requested[me])
#endif

/* KiDrainAfterLower: at PASSIVE_LEVEL before and after. */
inline DrainAfterLower()
{
#ifdef INTERRUPTS_STAY_OFF
    d_step { RaiseToDrain() };
    Retire()
#else
    do
    :: d_step { RaiseToDrain() };
       Retire();
       Irql[me] = PASSIVE_LEVEL;
       if
#ifndef MUTANT_NO_SECOND_LOOK
       :: MUST_DRAIN
#endif
       :: else -> break
       fi
    od
#endif
}

/* KiInterruptExit, once it is at DISPATCH_LEVEL: drains and returns to the thread. */
inline DrainAtExit()
{
#ifdef INTERRUPTS_STAY_OFF
    Retire()
#else
    do
    :: Retire();
       InterruptsOn[me] = 0;
       if
#ifndef MUTANT_NO_LOOK_AT_EXIT
       :: MUST_DRAIN -> InterruptsOn[me] = 1
#endif
       :: else -> d_step { LeaveDispatchLevel() }; break
       fi
    od
#endif
}

proctype Thread(byte me) provided (Top[me] == THREAD && !Halted[me])
{
    byte d, queue, data;
    bit urgent, claimed, send, wereOn, drain;

    do
    :: atomic { InsertsLeft > 0 -> ChooseInsert() };
       if
       :: InterruptsOn[me] = 0; /* at PASSIVE_LEVEL, interrupts off */
          Insert();
          InterruptsOn[me] = 1;
          goto lowered
       :: Insert() /* at PASSIVE_LEVEL */
       :: Irql[me] = DISPATCH_LEVEL;
          Insert();
#ifdef MUTANT_CHECK_BEFORE_LOWER
          drain = MUST_DRAIN;
          Irql[me] = PASSIVE_LEVEL;
          goto lowered
#else
          Irql[me] = PASSIVE_LEVEL /* KeLowerIrql */
#endif
       fi;
       drain = MUST_DRAIN;
lowered:
       if
       :: drain -> drain = 0; DrainAfterLower()
       :: else
       fi
    :: atomic {
           RemovesLeft > 0 -> RemovesLeft--;
           if
           :: d = 0
           :: d = 1
           fi
       };
       Remove()
    :: atomic { Number[0] == QUEUE_OF(1) -> Number[0] = QUEUE_OF(0) }
    :: break
    od;

    if
    :: Busy[me] = 1;
end_busy:
       false
    :: true
    fi;

    do
#ifdef MUTANT_IDLE_CHECKS_EARLY
    :: Queue[me] == 0 ->
       d_step { Idle[me] = 1; Halted[me] = 1 };
#else
    :: d_step {
           !Lock[me] && Queue[me] == 0 -> /* cli, lock, empty: Idle, unlock; sti and hlt */
           Idle[me] = 1;
           Halted[me] = 1
       };
#endif
end_halted: /* an interrupt has ended the hlt, and has returned */
       true
    :: !Lock[me] && Queue[me] != 0 -> DrainAfterLower()
    od
}

/* Vector 0x2F. It is EOIed at once. */
proctype DispatchInterrupt(byte me) provided (Top[me] != DEVICE)
{
    byte d, queue;
    bit urgent, claimed, send, wereOn;

end_waiting:
    do
    :: d_step {
           Irr2F[me] && InterruptsOn[me] && Irql[me] < DISPATCH_LEVEL ->
           assert(Top[me] == THREAD);
           Irr2F[me] = 0;
           Halted[me] = 0;
           Top[me] = DISPATCH;
           RaiseToDrain()
       };
       DrainAtExit()
    od
}

/* A device interrupt whose ISR inserts a DPC. On exit it drains, if it was the first to raise. */
proctype DeviceInterrupt(byte me)
{
    byte d, queue, savedIrql, savedTop;
    bit urgent, claimed, send, wereOn;

end_waiting:
    do
    :: atomic {
           InsertsLeft > 0 && InterruptsOn[me] && Irql[me] < DEVICE_LEVEL ->
           ChooseInsert();
           Halted[me] = 0;
           savedTop = Top[me];
           savedIrql = Irql[me];
           Top[me] = DEVICE;
           Irql[me] = DEVICE_LEVEL
       };
       Insert();
       if
       :: atomic {
              savedIrql < DISPATCH_LEVEL && MUST_DRAIN ->
              Irql[me] = savedIrql;
              RaiseToDrain()
          };
          DrainAtExit()
       :: d_step {
              !(savedIrql < DISPATCH_LEVEL && MUST_DRAIN) ->
              Irql[me] = savedIrql;
              Top[me] = savedTop;
              savedIrql = 0;
              savedTop = 0
          }
       fi
    od
}

init
{
    byte i;

    atomic {
        Number[0] = QUEUE_OF(1);
        if
        :: InsertsLeft = 1
#if INSERTS > 1
        :: InsertsLeft = 2
#endif
#if INSERTS > 2
        :: InsertsLeft = 3
#endif
        fi;
        for (i : 0 .. CPUS - 1)
        {
            run Thread(i);
            run DispatchInterrupt(i);
            run DeviceInterrupt(i)
        }
        i = 0
    };

    timeout ->
    d_step {
        for (i : 0 .. CPUS - 1)
        {
            assert((Queue[i] & Urgent) == 0);
            assert(Queue[i] == 0 || Busy[i]);
/* A request left over is no harm yet: these are to lose a DPC. */
#if !defined(MUTANT_CHECK_DEPTH) && !defined(MUTANT_NO_SECOND_LOOK) && \
    !defined(MUTANT_NO_LOOK_AT_EXIT)
            assert(!Requested[i])
#endif
        };
        for (i : 0 .. DPCS - 1)
        {
            assert(Owed[i] == HAS(Queue[0], i) + HAS(Queue[1], i))
        }
    }
}
