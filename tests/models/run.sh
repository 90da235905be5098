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

echo "1..$count"
[ "$failed" -eq 0 ]
