#!/bin/bash
# Every start of PostgreSQL: the boot guard (I12) waits while it says no, then postgres.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/streaming.sh"
. "$HERE/tune.sh"
. "$HERE/postgresql.sh"
trap 'exit 130' INT # bash alone would not heed it in its sleep

# As long as it holds: no process of PostgreSQL is left (the lock), its data is no standby's, and the state
# is read anew before any start. Written once for each state that it reads; see promote-replica and rejoin-replica.
hold() {
  local why=$WHY control
  [ "$NOTED" != "$EPOCH $PHASE $WRITER" ] || return 0
  control=$(as_postgres pg_controldata -D "$DATA" | awk -F ': +' '
    $1 == "Database cluster state" {print "shutdown S", $2 == "shut down" ? "clean" : "crashed"}
    $1 == "Latest checkpoint location" {print "checkpoint_lsn S", $2}
    $1 == "Latest checkpoint\047s TimeLineID" {print "timeline N", $2}') || control='shutdown S crashed'
  # shellcheck disable=SC2086 # words of it are arguments
  if guard_item held S yes epoch N "$EPOCH" $control; then NOTED="$EPOCH $PHASE $WRITER" WHY=$why; else WHY="$why; $WHY"; fi
}
# Whether the state that was read lets this member start as writer.
named() {
  WHY="the state names $WRITER as writer, not $ID; rejoin.sh makes this a standby"
  [ "$WRITER" = "$ID" ] || return
  WHY="the phase is $PHASE"
  [ "$PHASE" = steady ] || return
  WHY="a peer is out of recovery: $SEEN"
  ! grep -q '^[^ ]* f ' <<<"$SEEN" || return
  WHY='a rewind was cut short; rejoin.sh finishes it'
  [ ! -e "$JOB/rewinding" ]
}
permitted() {
  local asked
  WHY='no data directory yet'
  [ -d "$DATA" ] || return
  # Postgres and its children inherit the lock.
  exec 9<"$VAR"
  WHY='processes of this member still run'
  flock -n 9 || return
  identity || [ -e "$DATA/standby.signal" ] || return
  WHY='the configuration cannot be written'
  configure || return
  WHY='it is a standby'
  [ ! -e "$DATA/standby.signal" ] || return 0
  survey # a silent peer does not hinder: the state decides
  read_state || return
  named || {
    hold
    return 1
  }
  # A "yes" that cannot be taken back does no harm: it is of this epoch, and every change has a new one.
  let_go || log "$WHY"
  NOTED=''
  # Last and fresh: a guard that read "steady" before a change listens within 3 s, or never.
  now
  asked=$NOW
  read_state && named || return
  now
  WHY='the state table answered too slowly'
  ((NOW - asked < 2000)) || return
  WHY="it is the writer of epoch $EPOCH, and no peer is out of recovery"
}
NOTED=''
until permitted; do
  exec 9<&-
  once "not starting: $WHY"
  sleep 1
done
log "starting: $WHY"
exec "${AS[@]}" postgres -D "$DATA" -c "config_file=$CONF/understudy.conf" 3>&- </dev/null
