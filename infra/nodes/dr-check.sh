#!/bin/bash
# How the DR standby follows:  dr-check.sh  says it, and exits with 1 when it does not;  dr-check.sh report  does each
# minute what keeps it following (reads where the members are, makes its slot after a failover) and sends DrLagSeconds
# and DrStreaming to CloudWatch.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/backup.sh"
. "$HERE/dr.sh"

# Sets RECOVERY, STREAMING, SENDER, RECEIVED, REPLAYED, LAG. Late is what was written after the last transaction
# replayed here; while it streams and has replayed all it has received, it is not late, however long nobody wrote.
look() {
  local seen
  WHY="PostgreSQL does not answer here: $(sql 'SELECT 1' 2>&1 | head -n 1)"
  seen=$(sql "SELECT pg_is_in_recovery()::int,
    coalesce((SELECT (status = 'streaming')::int FROM pg_stat_wal_receiver), 0),
    coalesce((SELECT slot_name || '@' || sender_host FROM pg_stat_wal_receiver), '-'),
    coalesce(pg_last_wal_receive_lsn()::text, '-'), coalesce(pg_last_wal_replay_lsn()::text, '-'),
    CASE WHEN NOT pg_is_in_recovery() OR (EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
        AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()) THEN 0
      ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp())::bigint, 0) END" 2>/dev/null) || return
  read -r RECOVERY STREAMING SENDER RECEIVED REPLAYED LAG <<<"$seen"
}
# A file anew only when something changed: then the server is told.
keep_following() {
  read_source || return
  source_configure
  if changed "$CONF/source.conf"; then log 'the members are elsewhere' && reload_dr; fi
  [ "$STREAMING" = 1 ] || need_slot
}
report() {
  local why=''
  look || die "$WHY"
  if [ "$RECOVERY" = 1 ]; then
    keep_following || why=$WHY
    look || die "$WHY"
  fi
  { echo "DrLagSeconds $LAG Seconds" && echo "DrStreaming $STREAMING Count"; } | put_metrics || why+="${why:+; }$WHY"
  [ -z "$why" ] || die "$why"
}
say() {
  local address
  look || die "$WHY"
  if [ "$RECOVERY" = 0 ]; then
    echo "promoted: it takes writes, on timeline $(sql 'SELECT timeline_id FROM pg_control_checkpoint()')"
    exit 0
  fi
  echo "standby: received $RECEIVED, replayed $REPLAYED, $LAG s late"
  if [ "$STREAMING" = 1 ]; then
    # libpq tells the record's name, not who is behind it.
    address=$(ask_source 'SELECT host(inet_server_addr())' 2>/dev/null) || address=${SENDER#*@}
    echo "streams from $address through the slot ${SENDER%@*}"
  else
    echo "does not stream; the writer says: $(ask_source 'SELECT pg_current_wal_lsn()' 2>&1 | head -n 1)"
    exit 1
  fi
}

case ${1:-say} in
  report) report ;;
  say) say ;;
  *) die 'dr-check.sh or dr-check.sh report' ;;
esac
