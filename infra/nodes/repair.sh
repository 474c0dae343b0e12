#!/bin/bash
# Makes a member that Patroni does not bring back by itself a standby again: its agent is restarted if it hangs, and
# if that is not enough, its data is copied anew. The old data is kept where there is room. Run as root by SSM Run
# Command; cut short anywhere, run it again. The last line of stdout is the report:
#
#   {"outcome":"already-standby|restarted|reinitialised","diverged":false,"loss":null,"saved":null,"seconds":7}
#
# diverged: the old data had more than the leader's history has of its timeline, as far as its last checkpoint tells;
# that, too, is in what was saved. A member that leads is refused: that is a switchover's business.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/patroni.sh"
STUCK=${STUCK_SECONDS:-120} # nothing moves for so long: given up
STAMP=$(date -u +%Y%m%dT%H%M%SZ)
DIVERGED=false SAVED=null OUTCOME=already-standby
trap '[ -n "$REASON" ] || echo "failed: line $LINENO: $BASH_COMMAND" >&2' ERR
die() { REASON=$*; log "failed: $*"; echo "$*" >&2; exit 1; }

# Sets LEADER and SOURCE, its address, as any member says. This one may be the one that is wrong.
find_leader() {
  local address seen
  WHY='no member of Patroni answers'
  for address in $PEERS $ADDRESS; do
    seen=$(API_ADDRESS=$address patroni_api GET cluster 2>/dev/null) || continue
    WHY="nobody leads, says $address"
    read -r LEADER SOURCE < <(jq -r '.members[] | select(.role == "leader") | "\(.name) \(.host)"' <<<"$seen") && return
  done
  return 1
}
streams() {
  patroni_api GET patroni 2>/dev/null | jq -e '.role == "replica" and .replication_state == "streaming"' >/dev/null
}
answers() {
  local left
  for ((left = 3; left > 0; left--)); do ! patroni_api GET liveness >/dev/null 2>&1 || return 0; sleep 1; done
  return 1
}
agent() { # sets AGENT, the process of Patroni
  { read -r AGENT <"$RUN/patroni.pid" && grep -q patroni "/proc/$AGENT/cmdline"; } 2>/dev/null
}
# In order, then not. Whoever keeps it starts it again.
end_agent() { # SECONDS
  local until
  if agent; then
    kill "$AGENT" 2>/dev/null || :
    now
    until=$((NOW + $1 * 1000))
    while kill -0 "$AGENT" 2>/dev/null && now && ((NOW < until)); do sleep 0.2; done
    kill -9 "$AGENT" 2>/dev/null || :
  fi
  [ -n "$ROOT" ] || systemctl start --no-block understudy-patroni
}
# Until this member streams, for as long as anything moves: a copy, a replay, a state.
await() {
  local seen='' before since
  now
  since=$NOW
  until streams; do
    before=$seen
    seen=$(patroni_api GET patroni 2>/dev/null | jq -c '[.state, .role, .replication_state, .timeline, .xlog]')
    # What a copy has by now; other files of the disk tell nothing.
    [[ $seen != *'"creating replica"'* ]] || seen+=$(du -sk "$DATA" 2>/dev/null || :)
    now
    if [ "$seen" != "$before" ]; then since=$NOW; fi
    WHY="this member does not stream from $LEADER, and nothing has moved for $STUCK s"
    ((NOW - since < STUCK * 1000)) || return
    sleep 1
  done
}

bytes() { echo $((16#${1%/*} << 32 | 16#${1#*/})); } # LSN
# Sets DIVERGED, from the last checkpoint here and where the leader's history left its timeline.
compare() {
  local control timeline lsn fork
  if ! control=$(as_postgres pg_controldata -D "$DATA" 2>/dev/null); then
    log 'the old data cannot say whether it had more'
    return
  fi
  timeline=$(awk -F ': +' '$1 == "Latest checkpoint\047s TimeLineID" {print $2}' <<<"$control")
  lsn=$(awk -F ': +' '$1 == "Latest checkpoint location" {print $2}' <<<"$control")
  fork=$(API_ADDRESS=$SOURCE patroni_api GET history |
    jq -r --argjson tli "$timeline" '.[] | select(.[0] == $tli) | .[1]')
  if [ -n "$fork" ] && (($(bytes "$lsn") > fork)); then DIVERGED=true; fi
}
# The data, and the log where that has a disk of its own.
size() { du -skD "$DATA" ${WAL_DIR:+"$WAL_DIR"} | awk '{sum += $1} END {print sum}'; }
put_aside() {
  local wanted left old
  find "$VAR" -maxdepth 1 -name 'data.kept-*' -exec rm -rf {} +
  [ -z "$WAL_DIR" ] || find "$WAL_DIR" -maxdepth 1 -name 'wal.kept-*' -exec rm -rf {} +
  wanted=$(as_postgres timeout 60 psql -XAtqw \
    -d "user=understudy dbname=postgres connect_timeout=5 $TLS hostaddr=$SOURCE port=$PORT" \
    -c 'SELECT ceil(sum(pg_database_size(oid)) / 1024) FROM pg_database')
  left=$(df -k --output=avail "$VAR" | tail -n 1) old=$(size)
  if ((wanted < left)); then
    as_postgres mv "$DATA" "$DATA.kept-$STAMP"
    SAVED=\"$DATA.kept-$STAMP\"
    if [ -n "$WAL_DIR" ] && [ -d "$WAL_DIR/wal" ]; then
      as_postgres mv "$WAL_DIR/wal" "$WAL_DIR/wal.kept-$STAMP"
      as_postgres ln -sfn "$WAL_DIR/wal.kept-$STAMP" "$DATA.kept-$STAMP/pg_wal"
    fi
  else
    ((wanted < left + old)) ||
      die "the copy of $wanted KiB does not fit: $left KiB are left on $VAR, and the old data has $old"
    log "the old data is not kept: $left KiB are left on $VAR, and the copy needs $wanted"
    as_postgres rm -rf "$DATA" ${WAL_DIR:+"$WAL_DIR/wal"}
  fi
}
# Patroni copies the leader's data as soon as there is none. While the lock is held, it does not start.
reinitialise() {
  log "this member does not become a standby of $LEADER; copying all data"
  exec 9>>"$VAR/repair.hold"
  flock 9
  end_agent 60
  servers
  if ((${#SERVERS[@]})); then
    as_postgres pg_ctl stop -D "$DATA" -m immediate -w -t 60 >/dev/null || die 'PostgreSQL does not stop'
  fi
  find_leader || die "$WHY"
  [ "$LEADER" != "$MEMBER" ] || die 'this member leads'
  if [ -d "$DATA" ]; then
    compare
    put_aside
  fi
  exec 9>&-
  OUTCOME=reinitialised
}

now
BEGAN=$NOW
exec 8>>"$VAR/repair.lock"
flock -n 8 || die 'another repair.sh runs'
patroni_load_password
find_leader || die "$WHY"
[ "$LEADER" != "$MEMBER" ] || die 'this member leads'
if ! answers; then
  log 'the agent does not answer; restarting it'
  end_agent 5
  OUTCOME=restarted
fi
if ! STUCK=${RESTART_SECONDS:-30} await; then
  reinitialise
  await || die "$WHY"
fi
now
seconds=$(((NOW - BEGAN + 999) / 1000))
echo "{\"outcome\":\"$OUTCOME\",\"diverged\":$DIVERGED,\"loss\":null,\"saved\":$SAVED,\"seconds\":$seconds}"
