#!/bin/bash
# Boots three members from infra/nodes as real PostgreSQL servers on 127.0.21.11-13 and tries what they
# promise: bootstrap, the guards, restarts, set-up cut short, what the operator may do, rejoining.
#
#   tests/nodes/members.sh           as root (servers run as postgres) or as any user
#
# UNDERSTUDY_PYTHON: a Python with MiniStack and boto3 (default: the lab's, target/lab/venv).
set -Eeuo pipefail
. "${BASH_SOURCE%/*}/kit.sh"

claimed() { [ "$(state .writer.S)" = i-1 ]; }
streaming() { # MEMBER: who streams from it, and as what
  sql "$1" "SELECT string_agg(application_name || ' ' || sync_state, ', ' ORDER BY application_name) FROM pg_stat_replication WHERE state = 'streaming'"
}
bootstrap() {
  local var1 var3 began waiting
  var1=$(root 1)/var/lib/understudy var3=$(root 3)/var/lib/understudy
  cut_setup 3 grep -q 'waiting: no writer yet, and orders_3 never becomes one' m3.log
  is 'who is never promoted does not claim' null "$(state .writer.S)"
  cut_setup 1 test -s "$(root 1)/etc/understudy/postgresql/certificate.pem"
  is 'cut before the claim: unclaimed' null "$(state .writer.S)"
  cut_setup 1 claimed
  cut_setup 1 test -e "$var1/data.new/PG_VERSION"
  cut_setup 1 test -e "$var1/data.new/postmaster.pid"
  is 'cut four times: no data directory' '' "$(find "$var1" -name data)"
  began=$(date +%s%3N)
  run 2 setup.sh
  waiting=$PID
  until_is 30 'a standby waits for the writer' 1 said 2 'waiting: the writer i-1 does not answer'
  setup 1
  supervise 1
  wait "$waiting"
  supervise 2
  until_is 30 'a standby streams' 'orders_2 quorum' streaming 1
  echo "   two members in $(($(date +%s%3N) - began)) ms"
  cut_setup 3 test -e "$var3/data.new"
  cut_setup 3 test -e "$var3/data.new/base"
  setup 3
  supervise 3
  until_is 10 'both standbys stream under their names' 'orders_2 quorum, orders_3 quorum' streaming 1
}

promises() {
  local slots="SELECT string_agg(slot_name || ' ' || active, ', ' ORDER BY slot_name) FROM pg_replication_slots"
  is 'all scripts are there' "$(cat "$NODES"/*.* | sha256sum)" "$(cat "$(root 3)"/opt/understudy/*.* | sha256sum)"
  is 'the log is on its own volume' "$(root 1)/var/lib/understudy-wal" "$(dirname "$(readlink -f "$(root 1)/var/lib/understudy/data/pg_wal")")"
  is 'a slot for each' 'orders_2 true, orders_3 true' "$(sql 1 "$slots")"
  is 'the state' '1 i-1 steady 1 orders_2,orders_3' \
    "$(state '[.epoch.N, .writer.S, .phase.S, .synchronous_required.N, ([.synchronous_names.L[].S] | join(","))] | join(" ")')"
  is 'one writer, two standbys' 'f t t' "$(for n in 1 2 3; do operator $n 'SELECT pg_is_in_recovery()'; done | xargs)"
  is 'quorum' 'ANY 1 ("orders_2","orders_3")' "$(sql 1 'SHOW synchronous_standby_names')"
  is 'settings' 'on on replica on 5s 5s 1s scram-sha-256 10 10' "$(for name in data_checksums wal_log_hints wal_level hot_standby \
    wal_sender_timeout wal_receiver_timeout wal_receiver_status_interval password_encryption max_wal_senders \
    max_replication_slots; do sql 1 "SHOW $name"; done | xargs)"
  until_is 10 'CloudFormation has a signal of each' CREATE_COMPLETE stack_status
  application 1 'CREATE TABLE rows (id int PRIMARY KEY)' && application 1 'INSERT INTO rows VALUES (1)'
  until_is 3 'a row arrives' 1 sql 3 'SELECT count(*) FROM rows' orders
  fails 'no plain text' 'no encryption' application 1 'SELECT 1' "host=$(address 1) sslmode=disable"
  fails 'no other name' 'does not match host name' application 1 'SELECT 1' \
    "host=else.db.internal hostaddr=$(address 1) sslmode=verify-full sslrootcert=$WORK/tls/ca.crt"
  fails 'no superuser over the network' 'no pg_hba.conf entry' "$BIN/psql" -c 'SELECT 1' -d "user=postgres dbname=postgres $(tls 1)"
  fails 'no application in other databases' 'no pg_hba.conf entry' "$BIN/psql" -c 'SELECT 1' -d "user=app dbname=postgres $(tls 1)"
}
stack_status() {
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:cloudformation --user test:test "$AWS_ENDPOINT_URL/" \
    -d 'Action=DescribeStacks&Version=2010-05-15&StackName=understudy-test-orders' |
    sed -n 's/.*<StackStatus>\(.*\)<\/StackStatus>.*/\1/p'
}
fails() { # WHAT TEXT COMMAND...
  local what=$1 text=$2 output
  shift 2
  if output=$("$@" 2>&1); then output="succeeded: $output"; fi
  is "$what" "$text" "$(grep -o -m 1 -- "$text" <<<"$output" || echo "$output")"
}

synchronous() {
  local writing
  stop_host 2
  stop_host 3
  application 1 'INSERT INTO rows VALUES (2)' &
  writing=$!
  sleep 1
  is 'a commit waits for a standby' yes "$(kill -0 $writing && echo yes)"
  supervise 2
  wait $writing
  is 'and ends with one' 2 "$(sql 1 'SELECT count(*) FROM rows' orders)"
  supervise 3
  until_is 10 'both are back' 'orders_2 quorum, orders_3 quorum' streaming 1
}

again() { # nothing that exists is touched
  local before
  fingerprint() {
    postmaster 1 && postmaster 2 && state '[.epoch.N, .writer.S, .changed_at_ms.N] | join(" ")'
    find "$(root 1)" "$(root 2)" -type f \( -path '*/etc/*' -o -name 'postgresql.auto.conf' -o -name '*.signal' \) -exec sha256sum {} + | sort
    find "$(root 1)/var/lib/understudy" "$(root 2)/var/lib/understudy" -maxdepth 1 | sort
  }
  before=$(fingerprint)
  setup 1
  setup 2
  is 'set-up run again changes nothing' "$before" "$(fingerprint)"
}

crash() {
  local old
  old=$(postmaster 1)
  kill -9 "$old"
  until_is 10 'restart after kill -9' f sql 1 'SELECT pg_is_in_recovery()'
  is 'by the guard' 2 "$(said 1 'starting: it is the writer of epoch 1')"
  is 'another process' yes "$([ "$(postmaster 1)" != "$old" ] && echo yes)"
  is 'the same timeline' 00000001 "$(operator 1 'SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)')"
  until_is 10 'and the standbys are back' 'orders_2 quorum, orders_3 quorum' streaming 1
  kill -STOP "$MINISTACK"
  kill -9 "$(postmaster 1)"
  until_is 10 'guard: not without the state' 1 said 1 'not starting: the state table does not answer'
  kill -CONT "$MINISTACK"
  until_is 10 'and with it' f sql 1 'SELECT pg_is_in_recovery()'
  until_is 10 'the standbys are back' 'orders_2 quorum, orders_3 quorum' streaming 1
}

# The steps of a change of writer, as the operator; the old writer's guard watches.
change() {
  local n conninfo
  for n in 2 3; do
    is "member $n is seen receiving" streaming "$(operator $n 'SELECT status FROM pg_stat_wal_receiver')"
    operator $n "ALTER SYSTEM SET primary_conninfo = ''" && operator $n 'SELECT pg_reload_conf()' >/dev/null
    until_is 5 "member $n is frozen" 0 operator $n 'SELECT count(*) FROM pg_stat_wal_receiver'
  done
  is 'the writer shows whom it lost' 0 "$(operator 1 'SELECT count(*) FROM pg_stat_replication WHERE flush_lsn IS NOT NULL')"
  only_here 1
  stop_host 1
  mark 1
  set_state phase changing
  supervise 1
  until_is 10 'guard: not during a change' 1 said 1 'not starting: the phase is changing'
  set_state writer i-2
  until_is 10 'guard: not when another is the writer' 1 said 1 'not starting: the state names i-2 as writer, not i-1'
  is 'promoted' t "$(operator 2 'SELECT pg_promote()')"
  set_state writer i-1
  set_state phase steady
  until_is 10 'guard: not when a peer is out of recovery' 1 said 1 'not starting: a peer is out of recovery'
  sleep 2
  fails 'the old writer stays down' 'Connection refused' operator 1 'SELECT 1'
  set_state writer i-2
  operator 2 "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (orders_3)'" && operator 2 'SELECT pg_reload_conf()' >/dev/null
  operator 2 "SELECT pg_create_physical_replication_slot(name, true) FROM unnest('{orders_3,left}'::text[]) name" >/dev/null
  operator 2 "SELECT pg_drop_replication_slot('left')" >/dev/null
  conninfo=$(operator 3 "SELECT current_setting('understudy.replication_conninfo')")
  operator 3 "ALTER SYSTEM SET primary_conninfo = '$conninfo hostaddr=$(address 2) port=5432'" && operator 3 'SELECT pg_reload_conf()' >/dev/null
  until_is 10 'repointed' 'orders_3 quorum' streaming 2
  operator 2 CHECKPOINT
  operator 2 "INSERT INTO understudy.epochs (epoch, writer) VALUES (2, 'i-2')"
  is 'the operator is no superuser' off "$(operator 2 'SHOW is_superuser')"
}

lost() { # the writer's data
  local var
  var=$(root "$WRITER")/var/lib/understudy
  stop_host "$WRITER"
  mv "$var/data" "$var/elsewhere"
  refused "$WRITER" setup.sh 'no empty database in place of a lost one'
  is 'and it says why' 1 "$(said "$WRITER" "failed: the writer's data is gone")"
}

secrecy() {
  printf '%s\n' "p\\e'r" "e\\p'l" "p\\p'l" te/st+secret session/token== >patterns
  is 'no secret in arguments' '' "$(cat arguments.log)"
  is 'no secret in logs' '' "$(grep -F -f patterns m?.log || true)"
  is 'no secret readable by others' '' "$(grep -rlF -f patterns m? | xargs -r find -L | xargs -r stat -c '%a %n' | grep -v '^600' || true)"
  is 'keys are closed' 600 "$(stat -c %a "$(root 1)/etc/understudy/postgresql/private_key.pem")"
}

# Not only how the other halves end, but what is in between.
. "$HERE/guard.sh"
. "$HERE/rejoin.sh"
. "$HERE/by_hand.sh"

authority
cloud
member 1 WAL_VOLUME=vol-0wal1
member 2
member 3
background arguments.log "$PYTHON" "$HERE/aws.py" watch
bootstrap
promises
synchronous
again
crash
guards
change
rejoins
by_hand 1 2
lost
secrecy
