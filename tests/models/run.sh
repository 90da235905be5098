#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh - checks every model, and that the checker refutes every mutant. TAP 13 on stdout.
#
#   tests/models/run.sh [BUILD_DIRECTORY]     default build/models; needs spin, gcc, 1 GiB
#
# A proof must search its whole state space without an error; a mutant must fail, and in the way
# that its model says: the text after its name. Each check leaves its log (and the trail of a
# mutant: `spin -t -p -g -k *.trail MODEL.pml`) in BUILD_DIRECTORY/NAME. Exit status: 0 if all is
# as it should be.
set -eu

models=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-build/models}"
build=$(cd "${1:-build/models}" && pwd)
count=0
failed=0

# What is asked of the checker. Safety: assertions, and no state in which nothing can move that is
# not marked as an end. Liveness: the model's ltl formula, under weak fairness; -A leaves the
# assertions to the safety run.
depth=-m1000000
safety="-DSAFETY -DNOCLAIM"
whole="$safety -DNOREDUCE" # for models with a provided clause
liveness="-DNFAIR=3"
live="-A -a -f"

# verify MODEL NAME MODEL_DEFINES CHECKER_DEFINES CHECKER_OPTIONS OPTIMIZE: log in NAME/log
verify()
{
    local directory="$build/$2"

    rm -rf "$directory"
    mkdir -p "$directory"
    # shellcheck disable=SC2086
    (
        cd "$directory"
        spin -a $3 "$models/$1.pml" >log 2>&1 &&
            gcc "$6" -w $4 -o pan pan.c >>log 2>&1 &&
            ./pan $depth $5 >>log 2>&1
    )
}

# report PASSED NAME
report()
{
    count=$((count + 1))
    if [ "$1" = yes ]
    then
        echo "ok $count - models/$2"
    else
        failed=$((failed + 1))
        echo "not ok $count - models/$2"
        tail -n 25 "$build/$2/log" | sed 's/^/# /'
    fi
}

# proof MODEL NAME MODEL_DEFINES CHECKER_DEFINES CHECKER_OPTIONS
proof()
{
    local passed=no log="$build/$2/log"

    if verify "$1" "$2" "$3" "$4" "$5" -O2 &&
        grep -q 'errors: 0$' "$log" &&
        ! grep -Eq 'max search depth too small|out of memory|Search not completed|^pan:1:' "$log"
    then
        passed=yes
    fi
    report $passed "$2"
}

# mutant MODEL MUTANT HOW_IT_FAILS CHECKER_DEFINES CHECKER_OPTIONS; its search is short, so -O0
mutant()
{
    local passed=no name log

    name=$1-mutant-$(echo "$2" | tr 'A-Z_' 'a-z-')
    log="$build/$name/log"
    if verify "$1" "$name" "-DMUTANT_$2" "$4" "$5" -O0 &&
        grep -q 'errors: 1$' "$log" &&
        grep -Fq "$3" "$log"
    then
        passed=yes
    fi
    report $passed "$name"
}

stuck='pan:1: invalid end state'
starved='pan:1: acceptance cycle'

echo 'TAP version 13'

proof ticket ticket '' "$safety" ''
proof ticket ticket-live '' "$liveness" "$live"
mutant ticket DRAW_LOAD_STORE 'pan:1: assertion violated' "$safety" ''
mutant ticket DRAW_BEFORE_RAISE "$stuck" "$safety" -A
mutant ticket LOWER_BEFORE_RELEASE "$stuck" "$safety" -A
mutant ticket WRAP 'assertion violated (Ahead[me]==0)' "$safety" ''
mutant ticket TEST_AND_SET "$starved" "$liveness" "$live"

proof spinhalt spinhalt '' "$safety" ''
proof spinhalt spinhalt-three '-DCPUS=3 -DNO_ISR -DROUNDS=1' "$safety" ''
mutant spinhalt NO_FENCE "$stuck" "$safety" ''
mutant spinhalt NO_LOCKED_COUNT "$stuck" "$safety" ''
mutant spinhalt CHECK_BEFORE_ANNOUNCE "$stuck" "$safety" ''
mutant spinhalt NO_KICK "$stuck" "$safety" ''
mutant spinhalt ANY_WAITER "$stuck" "$safety" ''
mutant spinhalt INTERRUPTS_ON "$stuck" "$safety" ''

proof mcs mcs '' "$safety" ''
proof mcs mcs-live '' "$liveness" "$live"
mutant mcs NO_WAIT_FOR_NEXT "$stuck" "$safety" -A
mutant mcs STORE_TAIL "$starved" "$liveness" "$live"
mutant mcs WAIT_SET_LATE "$stuck" "$safety" -A

proof dpc dpc '' "$whole" ''
proof dpc dpc-three-inserts '-DINSERTS=3 -DREMOVES=0' "$whole" ''
proof dpc dpc-clear-each-time '-DCLEAR_EACH_TIME' "$whole" ''
proof dpc dpc-interrupts-stay-off '-DINTERRUPTS_STAY_OFF' "$whole" ''
lost='assertion violated ((Queue[i]&Urgent)==0)'
asleep='assertion violated ((Queue[i]==0)||Busy[i])'
twice='assertion violated ( !(((Queue[0]>>d)&1))&& !(((Queue[1]>>d)&1)))'
unlinked='assertion violated ((Queue[(data-1)]>>d)&1)'
mutant dpc CLEARED_OUTSIDE_LOCK "$lost" "$whole" ''
mutant dpc CHECK_BEFORE_LOWER "$lost" "$whole" ''
mutant dpc NO_SECOND_LOOK "$lost" "$whole" ''
mutant dpc NO_LOOK_AT_EXIT "$lost" "$whole" ''
mutant dpc CHECK_DEPTH "$lost" "$whole" ''
mutant dpc IDLE_CHECKS_EARLY "$asleep" "$whole" ''
mutant dpc LOW_IGNORES_IDLE "$asleep" "$whole" ''
mutant dpc NO_IPI_TO_IDLE 'assertion violated' "$whole" ''
mutant dpc NO_SELF_IPI 'assertion violated' "$whole" ''
mutant dpc INTERRUPTS_ON "$stuck" "$whole" -A
mutant dpc CLAIM_WITHOUT_CAS "$twice" "$whole" ''
mutant dpc CLAIM_BEFORE_LOCK "$unlinked" "$whole" ''
mutant dpc DPCDATA_CLEARED_FIRST 'assertion violated' "$whole" ''
mutant dpc REMOVE_BY_NUMBER "$unlinked" "$whole" ''
mutant dpc REMOVE_UNCHECKED 'assertion violated (Owed[i]==' "$whole" ''

proof flush flush '' "$safety" ''
proof flush flush-live '' "$liveness" "$live"
mutant flush MARKER_AT_HEAD 'assertion violated (Slot[i]!=2)' "$safety" ''
mutant flush QUEUES_EMPTY 'assertion violated (Running[i]!=2)' "$safety" ''
mutant flush ONE_CPU 'assertion violated' "$safety" ''
mutant flush WAIT_FOR_IDLE "$starved" "$liveness" "$live"

proof rwspin rwspin '' "$safety" ''
proof rwspin rwspin-live '' "$liveness" "$live"
mutant rwspin READER_JOINS 'assertion violated (Drawn==0)' "$safety" ''
mutant rwspin READER_ADDS 'assertion violated (Drawn==0)' "$safety" ''
mutant rwspin WRITER_IGNORES 'assertion violated ((WritersInside==1)' "$safety" ''
mutant rwspin CONVERT_ANY 'assertion violated (Ahead[me]==0)' "$safety" ''
mutant rwspin CONVERT_STORES 'assertion violated ((WritersInside==1)' "$safety" ''

proof pushlock pushlock '' "$safety" ''
proof pushlock pushlock-four '-DTHREADS=4 -DROUNDS=1' "$safety" ''
proof pushlock pushlock-live '' "$liveness" "$live"
mutant pushlock WAKE_FIRST 'pan:1: assertion violated' "$safety" ''
mutant pushlock NEWER_LATE "$stuck" "$safety" -A
mutant pushlock ANY_SHARER 'assertion violated ((OwnersInside==0)' "$safety" ''
mutant pushlock COUNT_LOST 'assertion violated (Live[answer]&&(Sharers[answer]>0))' "$safety" ''
mutant pushlock STORE_WORD 'pan:1: assertion violated' "$safety" ''
mutant pushlock ANSWER_KEPT 'assertion violated (Live[answer]&&Live[top])' "$safety" ''
mutant pushlock SHARER_PASSES 'pan:1: assertion violated' "$safety" ''
proof wait wait '' "$safety" ''
proof wait wait-semaphore '-DSINGLE=2' "$safety" ''
proof wait wait-three-signals '-DSIGNALS=3 -DSECOND_SIGNALS=0' "$safety" ''
proof wait wait-timeout-while-preparing '-DTIMEOUT_WHILE_PREPARING' "$safety" ''
lost='assertion violated ((Signal[i]==0)||(First[i]==0))'
unequal='assertion violated (Unanswered[i]==Signal[i])'
deaf='assertion violated ((WaitState[0]!=1)|| !((WantsTimeout||ApcPending)))'
early='assertion violated (timed&&Expired)'
mutant wait PREPARING_LATE 'assertion violated (((Signal[object]==0)||' "$safety" ''
mutant wait EXAMINE_THEN_LINK "$lost" "$safety" ''
mutant wait TAKE_WITHOUT_CAS "$unequal" "$safety" ''
mutant wait SATISFY_WITHOUT_CAS "$unequal" "$safety" ''
mutant wait COMMIT_BY_STORE "$unequal" "$safety" ''
mutant wait READY_IF_PREPARING 'assertion violated Owed[0]' "$safety" ''
mutant wait APC_BEFORE_COMMIT "$deaf" "$safety" ''
mutant wait APC_LOST_RETURNS 'assertion violated ( !(Owed[me])' "$safety" ''
mutant wait TIMEOUT_NOT_SEEN "$deaf" "$safety" ''
mutant wait TIMEOUT_BY_STORE 'assertion violated Owed[0]' "$safety" ''
mutant wait EXPIRY_UNLOCKED "$early" "$safety" ''
mutant wait TIMEOUT_LEFT "$early" "$safety" ''
mutant wait UNLINK_UNLOCKED 'assertion violated ((WaitState[i]!=1)||(Owed[i]&&' "$safety" ''
mutant wait LEFT_LINKED 'assertion violated ( !(((First[0]==(me+1))' "$safety" ''
mutant wait WINNER_NOT_AWAITED 'assertion violated  !(Winning[me])' "$safety" ''

proof waitall waitall '' "$safety" ''
proof waitall waitall-single '-DANY=1' "$safety" ''
proof waitall waitall-clean-up-locked '-DCLEAN_UP_LOCKED' "$safety" ''
locked='assertion violated  !(Lock[i])'
unguarded='assertion violated all'
missed='assertion violated (((WaitState[2]!=1)||(Signal[0]==0))||(Signal[1]==0))'
mutant waitall CALLERS_ORDER "$locked" "$safety" ''
mutant waitall LOCK_KEPT "$locked" "$safety" ''
mutant waitall COUNT_UNLOCKED "$unguarded" "$safety" ''
mutant waitall COUNT_LATE "$unguarded" "$safety" ''
mutant waitall COUNT_IGNORED "$locked" "$safety" ''
mutant waitall ONE_BY_ONE 'assertion violated (Signal[1]>0)' "$safety" ''
mutant waitall CONSUMED_IN_TURN 'assertion violated ((Lock[0]||Lock[1])||(Taken[0]==Taken[1]))' \
    "$safety" ''
mutant waitall STOPS_AT_ALL "$missed" "$safety" ''
mutant waitall EXAMINE_THEN_LINK "$missed" "$safety" ''
mutant waitall SATISFY_WITHOUT_CAS "$unequal" "$safety" ''

proof switch switch '' "$safety" ''
proof switch switch-two-sets '-DSETS=2' "$safety" ''
gone='assertion violated (State[i]==5)'
overwritten='assertion violated (State['
mutant switch CLAIM_BY_STORE "$gone" "$safety" ''
mutant switch SAVED_BY_STORE "$gone" "$safety" ''
mutant switch QUEUED_AT_ONCE "$overwritten" "$safety" ''
mutant switch PREEMPTED_QUEUED "$overwritten" "$safety" ''
mutant switch IN_USE_LATE "$overwritten" "$safety" ''
mutant switch CLAIMER_SETS_STATE "$overwritten" "$safety" ''
mutant switch REAPED_BY_STATE 'assertion violated  !(Reaped[old])' "$safety" ''
mutant switch THIEF_MOVES_FIRST 'assertion violated ((Queue[p]>>0)&1)' "$safety" ''
mutant switch STEAL_UNLOCKED 'assertion violated ((Queue[(1-me)]>>' "$safety" ''
mutant switch SET_UNCHECKED 'assertion violated' "$safety" ''
mutant switch SET_THREAD_UNLOCKED 'assertion violated (Listed[' "$safety" ''
mutant switch SET_READY_UNLOCKED 'assertion violated ((Queue[p]>>0)&1)' "$safety" ''

proof apc apc '' "$whole" ''
proof apc apc-two-inserts '-DREMOTE=2 -DOPS=2' "$whole" ''
undelivered='assertion violated ((Listed==0)||(Out&&'
mutant apc INSERT_NO_BARRIER "$undelivered" "$whole" ''
mutant apc SWITCH_NO_BARRIER "$undelivered" "$whole" ''
mutant apc COMMIT_NO_BARRIER "$undelivered" "$whole" ''
mutant apc TAKEN_BACK_BLIND "$undelivered" "$whole" ''
mutant apc SWITCH_NO_LOOK "$undelivered" "$whole" ''
mutant apc COMMIT_NO_LOOK "$undelivered" "$whole" ''
mutant apc RUNNING_FIRST "$undelivered" "$whole" ''
mutant apc NO_INTERRUPT "$undelivered" "$whole" ''
mutant apc LOOK_BEFORE_LOWER "$undelivered" "$whole" ''
mutant apc DUE_CLEARED_LAST "$undelivered" "$whole" ''
mutant apc DUE_CLEARED_HIGH "$undelivered" "$whole" ''
mutant apc LEAVE_NO_LOOK "$undelivered" "$whole" ''
mutant apc LEAVE_HIGH "$undelivered" "$whole" ''
mutant apc GUARD_IGNORED 'assertion violated  !(Guarded)' "$whole" ''
mutant apc DELIVERED_HIGH 'assertion violated (WaitIrql==0)' "$whole" ''

proof idle idle '' "$safety" ''
proof idle idle-three-threads '-DTHREADS=3 -DWAKERS=1 -DBUSY=1' "$safety" ''
proof idle idle-bound '-DTHREADS=3 -DWAKERS=1 -DBUSY=0 -DBOUND' "$safety" ''
sleeps='assertion violated ( !(Asleep[i])||'
mutant idle READY_NO_BARRIER "$sleeps" "$safety" ''
mutant idle IDLE_NO_BARRIER "$sleeps" "$safety" ''
mutant idle BIT_AFTER_SCAN "$sleeps" "$safety" ''
mutant idle NO_SECOND_LOOK "$sleeps" "$safety" ''
mutant idle MASK_BEFORE_LINK "$sleeps" "$safety" ''
mutant idle NO_INTERRUPT "$sleeps" "$safety" ''
mutant idle CLAIM_BY_STORE "$sleeps" "$safety" ''
mutant idle LEFT_BEHIND "$sleeps" "$safety" ''
mutant idle CLAIM_NOT_PASSED "$sleeps" "$safety" ''
mutant idle BIT_KEPT "$sleeps" "$safety" ''
mutant idle NO_STEAL "$sleeps" "$safety" ''
mutant idle OFFER_FIRST "$sleeps" "$safety" ''
mutant idle HALTS_BLIND "$sleeps" "$safety" ''

echo "1..$count"
[ "$failed" -eq 0 ]
