#!/bin/sh
# quietly.sh WHAT COMMAND...: says what is done and how long it has taken so far; of the command's own words only if it
# fails. On a terminal the seconds count on one line, elsewhere there is a line every half minute.
what=$1
shift
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
"$@" > "$log" 2>&1 &
work=$!
trap 'kill "$work" 2> /dev/null; exit 130' INT TERM
[ -t 2 ] && every=1 || every=30
[ -t 2 ] || echo "$what" >&2
begin=$(date +%s)
shown=0
while kill -0 "$work" 2> /dev/null; do
    passed=$(($(date +%s) - begin))
    if [ -t 2 ]; then
        printf '\r%s: %d s' "$what" "$passed" >&2
    elif [ "$passed" -ge $((shown + every)) ]; then
        shown=$passed
        echo "$what: $passed s" >&2
    fi
    sleep 1
done
wait "$work"
result=$?
passed=$(($(date +%s) - begin))
if [ "$result" -ne 0 ]; then
    [ -t 2 ] && echo >&2
    cat "$log" >&2
    echo "$what: failed after $passed s" >&2
    exit "$result"
fi
if [ -t 2 ]; then printf '\r%s: done in %d s\n' "$what" "$passed" >&2; else echo "$what: done in $passed s" >&2; fi
