#!/usr/bin/env bash
# gator in pipes: every line of what has to compose, on the broker that GATOR_DSN names.
#
#   compose.sh FOLDER [plain]    plain: a broker that keeps neither results, unique keys nor our ids
set -euo pipefail
cd "$1"
plain=${2:-}

# What is pushed can be waited for.
if [ -z "$plain" ]; then
    id=$(gator push tasks.report --args '[1]' --result-ttl 1h)
    gator worker --burst 2>log
    gator wait "$id" --timeout 5m --quiet >waited
    [ "$(cat waited)" = "$id" ]
    [ "$(gator result "$id")" = '"report 1"' ]
fi

# Rows become tasks, once.
seq 1 2500 | jq -c '{id: .}' >rows.ndjson
checkpoint=(--checkpoint p.ck)
[ -z "$plain" ] || checkpoint=()
for _ in 1 2; do
    jq -c '{task: "tasks.mail", args: [.id], queue: "mail"}' rows.ndjson |
        gator push --from - "${checkpoint[@]}" >summary
    [ -z "$plain" ] || break
done
[ "$(jq .queued summary)" = 2500 ]
[ "$(gator queues --json | jq -s 'map(select(.queue == "mail").waiting) | add')" = 2500 ]

# Some of them fail; those with one error are tried once more.
gator worker -q mail --burst -c 2 2>>log || true
[ "$(gator peek -q mail --state failed --limit 0 --quiet | wc -l)" = 250 ]
gator peek -q mail --state failed --json --limit 0 | jq -r 'select(.error|test("Timeout")).id' |
    gator retry --ids-from - --rate 1000/s --yes >retried
[ "$(wc -l <retried)" = 125 ]
[ "$(gator peek -q mail --state waiting --limit 0 --quiet | wc -l)" = 125 ]

# The others go.
gator peek -q mail --state failed --quiet --limit 0 | xargs -r -n 50 gator cancel >canceled
[ "$(wc -l <canceled)" = 125 ]

# A copy of what is dropped brings it back.
gator drop -q mail --backup mail.bak --yes >dropped
[ "$(jq .changed dropped)" = 125 ]
[ "$(gator load mail.bak | jq .queued)" = 125 ]
gator dump -q mail | jq -c '.queue = "post" | del(.id)' | gator push --from - --print-ids 2>said >ids
[ "$(sort -u ids | wc -l)" = 125 ]

# Cron pushes a tick each minute; one waits at a time.
if [ -z "$plain" ]; then
    for _ in 1 2 3; do gator push tasks.tick --unique tick --quiet >>ticks; done
    [ "$(gator peek --task tasks.tick --quiet | wc -l)" = 1 ]
fi
gator peek -q post --limit 0 | head -1 >/dev/null
