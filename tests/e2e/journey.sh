#!/usr/bin/env bash
# One day of a queue, the same on every broker that GATOR_DSN names.
#
#   journey.sh CALLS FOLDER    push CALLS calls; evidence goes to FOLDER
#
# Standard output is JSON, one line a fact that is to be the same everywhere.
set -euo pipefail
calls=$1
folder=$2
evidence=$folder/evidence
quick=tests.faults.deeds.quick

fact() { printf '{"%s": %s}\n' "$1" "$2"; }
text() { printf '"%s"' "$1"; }

# A delayed one, one that fails at every try, and one that goes first.
later=$(gator push $quick --args "[\"$evidence\", \"later\"]" --delay 1h)
failing=$(gator push tests.faults.deeds.fail --args "[\"$evidence\"]" --retries 2)
seq 100 | xargs -P 4 -I {} gator push $quick --args "[\"$evidence\", \"call {}\"]" >"$folder/ids"
seq 101 "$calls" | python -m tests.e2e.push_each $quick "$evidence" >>"$folder/ids"
first=$(gator push $quick --args "[\"$evidence\", \"first\"]" --priority 10)
fact ids "$(sort -u "$folder/ids" | wc -l)"

# Look.
[ "$(gator peek --state waiting --limit 1 --quiet)" = "$first" ]
[ "$(gator peek --state delayed --quiet)" = "$later" ]
fact listed "$(gator peek --limit 0 --quiet | wc -l)"
fact shown "$(gator show "$failing" --json | jq -c '{state, task, retries, attempts}')"

# Mend: cancel one, drop a queue.
unwanted=$(gator push $quick --args "[\"$evidence\", \"unwanted\"]")
[ "$(gator cancel "$unwanted")" = "$unwanted" ]
status=0
gator show "$unwanted" 2>"$folder/message" || status=$?
fact canceled_show_exits "$status"
for _ in 1 2 3; do gator push $quick --queue junk --args "[\"$evidence\", \"junk\"]" >/dev/null; done
fact dropped "$(gator drop --queue junk --yes --json | jq -c '.changed')"

# Work: two workers with four processes. One process alone takes the tasks in their order; of several,
# the one that is given the first may be the last to have its turn.
gator worker -c 1 --burst 2>"$folder/log1" &
one=$!
until grep -qsx first "$evidence" || ! kill -0 $one; do sleep 0.01; done
gator worker -c 3 --burst 2>"$folder/log2" &
two=$!
wait $one
wait $two

# What is left.
fact left "$(gator queues --json | jq -sc 'map({queue, waiting, delayed, blocked, running, failed})')"
fact failed "$(gator peek --state failed --json | jq -sc 'map({task, attempts, error})')"
fact delayed "$(text "$(gator show "$later" --json | jq -r .state)")"

# The failed one, once more by hand: it fails again, and says so.
status=0
again=$(gator peek --state failed --quiet)
gator run-task "$again" 2>>"$folder/message" || status=$?
fact run_task_exits "$status"
# The delayed one, now.
fact ran "$(gator run-task "$later")"
fact waiting_for_nothing "$(gator peek --quiet --state waiting --state delayed | wc -l)"
