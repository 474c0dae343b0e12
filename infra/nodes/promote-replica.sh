#!/bin/bash
# Makes this standby the writer, by hand: for when Understudy's functions cannot. In the path as
# postgres-promote-replica.sh; run as root, by a person who types a confirmation.
#
# What the functions do, in their order: the state names this member, so that no other starts as writer and the old
# one's guard stops it; the standbys that answer are cut from it; its guard's time is waited out; then pg_promote. It
# refuses while another member is out of recovery, while a change is under way, and where another standby has more.
# The record of the writer is moved by update-dns within five minutes, as soon as it runs.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/streaming.sh"
SPARE=5 # seconds, beyond the guard's TTL
FURTHEST='greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())'

local_sql() {
  as_postgres timeout 20 psql -XAtqw -v ON_ERROR_STOP=1 -h "$VAR" -p "$PORT" -U postgres -d postgres -c "$1"
}
confirm() { # WORD
  local typed
  read -rp "Type $1 to go on: " typed || die 'nothing was typed'
  [ "$typed" = "$1" ] || die "\"$typed\" was typed, not $1: nothing is changed"
}

# Takes the cluster for this member, if nobody else has since.
take() {
  local began change='SET writer=:w,epoch=:e,changed_at_ms=:now,synchronous_required=:r,synchronous_names=:n,'
  change+='#t=:t,timeline_began=:b REMOVE holder,expires_at_ms'
  began=$(local_sql 'SELECT pg_last_wal_replay_lsn()') || return
  WHY="the state cannot be changed: $(dynamodb UpdateItem 2>&1 <<END
{$(key state),"ConditionExpression":"epoch = :seen AND phase = :p",
"UpdateExpression":"$change",
"ExpressionAttributeNames":{"#t":"timeline"},
"ExpressionAttributeValues":{":seen":{"N":"$EPOCH"},":p":{"S":"steady"},":w":{"S":"$ID"},":e":{"N":"$((EPOCH + 1))"},
":now":{"N":"$(date +%s%3N)"},":r":{"N":"0"},":n":{"L":[]},":t":{"N":"$((TIMELINE + 1))"},":b":{"S":"$began"}}}
END
  )"
}
standbys() { awk '$2 == "t" {print $1}' <<<"$SEEN"; } # addresses of those that answer
# From now on nothing keeps the old writer alive, and no commit of it that waits for these is acknowledged.
freeze() {
  local peer
  local_sql "ALTER SYSTEM SET primary_conninfo = ''" && local_sql 'SELECT pg_reload_conf()' >/dev/null || return
  while read -r peer; do
    if ! ask "$peer" "ALTER SYSTEM SET primary_conninfo = ''" || ! ask "$peer" 'SELECT pg_reload_conf()'; then
      log "$peer is not frozen"
    fi
  done < <(standbys) >/dev/null
}
# Refuses where another standby has more.
furthest() {
  local peer more
  MINE=$(local_sql "SELECT $FURTHEST")
  while read -r peer; do
    more=$(ask "$peer" "SELECT $FURTHEST > '$MINE'" 2>/dev/null) || more=''
    [ "$more" != t ] || die "$peer has received more than $MEMBER: run this there"
  done < <(standbys)
}
alone() {
  survey
  ! grep -q '^[^ ]* f ' <<<"$SEEN" || die "a member is out of recovery; stop it first: $(grep '^[^ ]* f ' <<<"$SEEN")"
}
promote() {
  local_sql "ALTER SYSTEM SET synchronous_standby_names = ''" && local_sql 'SELECT pg_reload_conf()' >/dev/null &&
    [ "$(local_sql 'SELECT pg_promote(true, 15)')" = t ] && [ "$(local_sql 'SELECT pg_is_in_recovery()')" = f ] &&
    local_sql "INSERT INTO understudy.epochs (epoch, writer) VALUES ($((EPOCH + 1)), '$ID')"
}
# The standbys that answer follow this one. The functions look after the rest, and after what commits wait for.
repoint() {
  local peer entry conninfo
  for entry in $MEMBERS; do
    peer=${entry#*=}
    grep -q "^$peer t " <<<"$SEEN" || continue
    conninfo=$(ask "$peer" "SELECT current_setting('understudy.replication_conninfo')") &&
      local_sql "SELECT pg_create_physical_replication_slot('${entry%=*}', true)
        WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '${entry%=*}')" >/dev/null &&
      ask "$peer" "ALTER SYSTEM SET primary_conninfo = '$conninfo hostaddr=$ADDRESS port=$PORT'" &&
      ask "$peer" 'SELECT pg_reload_conf()' >/dev/null && continue
    log "$peer does not follow yet"
  done
}

[ "$TOPOLOGY" = ec2-streaming ] || die "Patroni promotes the members of $TOPOLOGY: patronictl failover"
identity || die "$WHY"
[ "$(local_sql 'SELECT pg_is_in_recovery()' 2>&1)" = t ] || die "$MEMBER is no standby that answers"
read_state || die "$WHY"
[ "$PHASE" = steady ] || die "the phase is $PHASE: a change of writer is under way, and the functions will finish it"
alone
furthest
TIMELINE=$(local_sql 'SELECT received_tli FROM pg_stat_wal_receiver
  UNION ALL SELECT timeline_id FROM pg_control_checkpoint() LIMIT 1')
cat <<END
$MEMBER ($ID) of cluster $CLUSTER becomes the writer in place of $WRITER, epoch $((EPOCH + 1)).
It has the log up to $MINE of timeline $TIMELINE. What $WRITER acknowledged beyond that is lost.
The other members: $SEEN
Better, where Understudy's functions run: promote-replica, which knows more and moves the record.
END
confirm "promote-$MEMBER"
take || die "$WHY"
log "the state names $MEMBER; the old writer's guard has $((TTL + SPARE)) s"
freeze || die 'this member cannot be cut from its writer'
sleep $((TTL + SPARE))
alone
furthest
promote || die 'the promotion failed: look into the log of PostgreSQL'
repoint
log "$MEMBER is the writer. Clients can use host=$ADDRESS until update-dns has moved $WRITER_RECORD"
