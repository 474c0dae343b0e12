#!/bin/bash
# Every start of PostgreSQL: the boot guard (I12) waits while it says no, then postgres.
. "${BASH_SOURCE%/*}/lib.sh"
trap 'exit 130' INT # bash alone would not heed it in its sleep

configure() {
  local range members=${ROOT:+127.0.0.1/32} library='' memory=64MB quorum='' # a lab's members share a host
  for range in $ADDRESS $PEERS; do members+=" $range/32"; done
  [ ! -e "${BIN%bin}lib/pg_stat_statements.so" ] || library=pg_stat_statements
  [ -n "$ROOT" ] || memory=$(awk '/MemTotal/ {print int($2 / 4) "kB"}' /proc/meminfo)
  [ "$SYNCHRONOUS_REQUIRED" = 0 ] || quorum="ANY $SYNCHRONOUS_REQUIRED ($OTHERS)"
  rule() { for range in $3; do echo "hostssl $1 $2 $range scram-sha-256"; done; }
  put pg_ident.conf <<<"understudy $OWNER postgres" && {
    echo 'local all postgres peer map=understudy'
    rule replication replicator "$members"
    rule all understudy "$members $CLIENT_CIDRS"
    rule "\"$DATABASE\"" "\"$APPLICATION_ROLE\"" "$CLIENT_CIDRS"
  } | put pg_hba.conf && put understudy.conf <<EOF
listen_addresses = '$ADDRESS'
port = $PORT
unix_socket_directories = '$VAR'
hba_file = '$CONF/pg_hba.conf'
ident_file = '$CONF/pg_ident.conf'
understudy.instance_id = '$ID'
understudy.replication_conninfo = '$REPLICATION'
ssl = on
ssl_cert_file = '$CONF/certificate.pem'
ssl_key_file = '$CONF/private_key.pem'
max_connections = 200
shared_buffers = ${SHARED_BUFFERS:-$memory}
shared_preload_libraries = '$library'
wal_log_hints = on
wal_keep_size = 1GB
max_slot_wal_keep_size = $(df --output=size -m "$VAR" | awk 'END {print int($1 / 4)}')MB
wal_sender_timeout = 5s
wal_receiver_timeout = 5s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
# While replay waits for a query, the standby heeds no freeze: 30 s by default.
max_standby_streaming_delay = 2s
${ROOT:+dynamic_shared_memory_type = mmap}
synchronous_standby_names = '$quorum'
log_line_prefix = '%m [%p] %q%u@%d %a '
EOF
}

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
