#!/bin/sh
# Starts NAME. As process 1 of a container it stays and hands signals on: the kernel gives process 1 no signal that
# it does not listen for, so one that comes while Python is still starting would be lost.
program=/airbyte/venv/bin/NAME
[ $$ -eq 1 ] || exec "$program" "$@"

hand_on() {
    came=$1
    [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null
}
child= came=
trap 'hand_on TERM' TERM
trap 'hand_on INT' INT
exec 3<&0 # The shell gives an empty input to what it starts in the background.
"$program" "$@" <&3 3<&- &
child=$!
[ -z "$came" ] || kill -s "$came" "$child"
wait "$child"
code=$?
# A signal ends `wait` as well; the end of the program ends this loop.
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
done
exit "$code"
