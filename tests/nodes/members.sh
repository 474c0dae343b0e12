#!/bin/bash
# Boots three members from infra/nodes as real PostgreSQL servers on 127.0.21.11-13 and tries what they
# promise: bootstrap, the guard, restarts, set-up cut short, what the operator may do, the rebuild.
#
#   tests/nodes/members.sh           as root (servers run as postgres) or as any user
#
# UNDERSTUDY_PYTHON: a Python with MiniStack and boto3 (default: the lab's, target/lab/venv).
set -Eeuo pipefail
HERE=$(cd "${BASH_SOURCE%/*}" && pwd)
NODES=$HERE/../../infra/nodes
PYTHON=${UNDERSTUDY_PYTHON:-$HERE/../../target/lab/venv/bin/python}
BIN=${POSTGRESQL_BIN:-/usr/lib/postgresql/15/bin}
MINISTACK_PORT=14566 IMDS_PORT=14567 RECORD=orders-rw.db.internal
export AWS_ENDPOINT_URL=http://127.0.0.1:$MINISTACK_PORT
# In memory where that is possible: initdb and base backups sync every file.
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || TMPDIR=/dev/shm
WORK=$(mktemp -d "${TMPDIR:-/tmp}/understudy-nodes.XXXXXX")
chmod 755 "$WORK"
cd "$WORK"
STARTED=() SUPERVISOR=() SHARED=() CHECKS=0 PID='' MINISTACK=''

# --- what the test is made of -------------------------------------------------------------------

background() { # LOG COMMAND...: in a process group of its own, ended with the test
  local log=$1
  shift
  setsid "$@" >>"$log" 2>&1 </dev/null &
  STARTED+=($!)
}
shared_memory() { # PID: notes its POSIX and System V segments
  local left
  while read -r left; do SHARED+=("$left"); done < <(awk '$6 ~ "^/dev/shm/PostgreSQL" {print $6}
    $6 ~ "^/SYSV" {print $5}' "/proc/$1/maps" 2>/dev/null | sort -u || true)
}
finish() {
  local status=$? group process left log
  set +e
  trap - ERR EXIT
  # All that runs has its current directory in $WORK. A server that is killed leaves shared memory behind.
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in
      "$WORK"*) shared_memory "${process#/proc/}" ;;
    esac
  done 2>/dev/null
  for group in "${STARTED[@]}"; do kill -9 -- "-$group"; done 2>/dev/null
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in
      "$WORK"/*) kill -9 "${process#/proc/}" ;;
    esac
  done 2>/dev/null
  sleep 0.2
  for left in "${SHARED[@]}"; do
    case $left in
      /*) rm -f "$left" ;;
      *) ipcrm -m "$left" 2>/dev/null ;; # already gone, where a server started again
    esac
  done
  if [ "$status" = 0 ]; then
    echo "ok: $CHECKS checks in $SECONDS s as $(id -un)"
  else
    for log in "$WORK"/*.log; do echo "--- ${log##*/}" && tail -n 40 "$log"; done >&2
  fi
  cd / && rm -rf "$WORK"
  exit "$status"
}
trap finish EXIT
trap 'echo "failed at line $LINENO: $BASH_COMMAND" >&2' ERR

is() { # WHAT EXPECTED ACTUAL
  CHECKS=$((CHECKS + 1))
  [ "$2" = "$3" ] || { echo "NOT OK $1: expected '$2', got '$3'" >&2 && exit 1; }
  echo "ok $1"
}
until_is() { # SECONDS WHAT EXPECTED COMMAND...
  local deadline=$((SECONDS + $1)) what=$2 expected=$3 actual
  shift 3
  until actual=$("$@" 2>&1) && [ "$actual" = "$expected" ] || ((SECONDS > deadline)); do sleep 0.05; done
  is "$what" "$expected" "$actual"
}

address() { echo "127.0.21.1$1"; }
root() { echo "$WORK/m$1"; }
sql() { # MEMBER SQL: as the superuser, over the socket
  local -a as=(env)
  [ "$(id -u)" != 0 ] || as=(setpriv --reuid=postgres --regid=postgres --init-groups)
  "${as[@]}" timeout 5 "$BIN/psql" -XAtq -h "$(root "$1")/var/lib/understudy" -U postgres -c "$2" "${3:-postgres}"
}
operator() { # MEMBER SQL: as the functions do, over TLS
  timeout 5 "$BIN/psql" -XAtq -v ON_ERROR_STOP=1 -c "$2" -d "user=understudy dbname=postgres $(tls "$1")"
}
tls() {
  echo "host=$RECORD hostaddr=$(address "$1") port=5432 sslmode=verify-full connect_timeout=2" \
    "sslrootcert=$WORK/tls/ca.crt passfile=$(root "$1")/etc/understudy/postgresql/passfile"
}
application() { # MEMBER SQL
  PGPASSWORD="a:p\\p'l i" timeout 5 "$BIN/psql" -XAtq -c "$2" -d "user=app dbname=orders ${3:-$(tls "$1")}"
}
state() { # jq filter over the state item
  dynamodb GetItem '{"TableName":"test-state","Key":{"cluster":{"S":"orders"},"item":{"S":"state"}},"ConsistentRead":true}' |
    jq -r ".Item | $1"
}
set_state() { # ATTRIBUTE VALUE
  dynamodb UpdateItem '{"TableName":"test-state","Key":{"cluster":{"S":"orders"},"item":{"S":"state"}},
    "UpdateExpression":"SET '"$1"'=:v","ExpressionAttributeValues":{":v":{"S":"'"$2"'"}}}' >/dev/null
}
dynamodb() {
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:dynamodb --user test:test -H "X-Amz-Target: DynamoDB_20120810.$1" \
    -H 'Content-Type: application/x-amz-json-1.0' -d "$2" "$AWS_ENDPOINT_URL/"
}

authority() {
  mkdir tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=test authority' \
    -keyout tls/ca.key -out tls/ca.crt 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=orders' \
    -keyout tls/server.key -out tls/server.csr 2>/dev/null
  openssl x509 -req -in tls/server.csr -CA tls/ca.crt -CAkey tls/ca.key -days 2 -out tls/server.crt \
    -extfile <(echo "subjectAltName=DNS:$RECORD,DNS:orders-ro.db.internal") 2>/dev/null
}
cloud() {
  GATEWAY_PORT=$MINISTACK_PORT BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 STATE_DIR=$WORK/ministack TMPDIR=$WORK \
    background ministack.log "$PYTHON" -m ministack
  MINISTACK=$!
  background imds.log "$PYTHON" "$HERE/aws.py" imds $IMDS_PORT
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do
    kill -0 "$MINISTACK" || { echo "MiniStack did not start with $PYTHON" >&2 && exit 1; }
    sleep 0.1
  done
  "$PYTHON" "$HERE/aws.py" prepare "$WORK"
}
member() { # NUMBER: what the user data leaves on its host
  local there
  there=$(root "$1")
  mkdir -p "$there/etc/understudy" "$there/opt/understudy"
  cp "$NODES"/* "$there/opt/understudy/"
  cat secrets.env - >"$there/etc/understudy/member.env" <<EOF
FLEET=test CLUSTER=orders MEMBER=orders_$1 ADDRESS=$(address "$1") REGION=eu-west-1 STATE_TABLE=test-state
WRITER_RECORD=$RECORD POSTGRESQL_VERSION=15 PORT=5432 DATABASE=orders APPLICATION_ROLE=app
SYNCHRONOUS_REQUIRED=1 MEMBERS="orders_1=$(address 1) orders_2=$(address 2) orders_3=$(address 3)"
CLIENT_CIDRS="127.0.0.0/16" STACK=understudy-test-orders LOGICAL_ID=Member$1 DATA_VOLUME=
EOF
}
run() { # MEMBER SCRIPT: starts it in the background; PID is its process group
  background "m$1.log" env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" SETUP_SECONDS=30 \
    bash "$(root "$1")/opt/understudy/$2"
  PID=$!
}
setup() { # MEMBER: to its end
  run "$1" setup.sh
  wait "$PID"
}
supervise() { # MEMBER: starts it again whenever it ends, as systemd does
  # shellcheck disable=SC2016
  background "m$1.log" env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" \
    bash -c 'cd "$ROOT"; while :; do bash opt/understudy/start.sh; sleep 0.2; done'
  SUPERVISOR[$1]=$!
}
postmaster() { head -n 1 "$(root "$1")/var/lib/understudy/data/postmaster.pid"; }
stop_host() { # MEMBER: all its processes at once, as a stopped instance
  local pid
  pid=$(postmaster "$1")
  shared_memory "$pid"
  kill -9 -- "-${SUPERVISOR[$1]}"
  wait "${SUPERVISOR[$1]}" 2>/dev/null || true
  until ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}
cut_setup() { # MEMBER CONDITION...: kills set-up, and all it started, as soon as the condition holds
  local member=$1 pid
  shift
  run "$member" setup.sh
  until "$@"; do
    kill -0 "$PID" || { echo "set-up of member $member ended before: $*" >&2 && exit 1; }
  done
  for pid in $(pgrep -g "$PID" -x postgres || true); do shared_memory "$pid"; done
  kill -9 -- "-$PID"
  wait "$PID" 2>/dev/null || true
}
refused() { # MEMBER SCRIPT WHAT
  local status=0
  run "$1" "$2"
  wait "$PID" || status=$?
  is "$3" 1 "$status"
}
said() { grep -c -- "$2" "m$1.log" || true; }

# --- what is tried ------------------------------------------------------------------------------

claimed() { [ "$(state .writer.S)" = i-1 ]; }
streaming() { # MEMBER: who streams from it, and as what
  sql "$1" "SELECT string_agg(application_name || ' ' || sync_state, ', ' ORDER BY application_name) FROM pg_stat_replication WHERE state = 'streaming'"
}
bootstrap() {
  local var1 var3 began waiting
  var1=$(root 1)/var/lib/understudy var3=$(root 3)/var/lib/understudy
  cut_setup 1 test -s "$(root 1)/etc/understudy/postgresql/certificate.pem"
  is 'cut before the claim: unclaimed' null "$(state .writer.S)"
  cut_setup 1 claimed
  cut_setup 1 test -e "$var1/data.new/PG_VERSION"
  cut_setup 1 test -e "$var1/data.new/postmaster.pid"
  is 'cut four times: no data directory' '' "$(find "$var1" -name data)"
  began=$(date +%s%3N)
  run 2 setup.sh
  waiting=$PID
  until_is 5 'a standby waits for the writer' 1 said 2 'waiting: the writer i-1 does not answer'
  setup 1
  supervise 1
  wait "$waiting"
  supervise 2
  until_is 10 'a standby streams' 'orders_2 quorum' streaming 1
  echo "   two members in $(($(date +%s%3N) - began)) ms"
  cut_setup 3 test -e "$var3/data.new"
  cut_setup 3 test -e "$var3/data.new/base"
  setup 3
  supervise 3
  until_is 10 'both standbys stream under their names' 'orders_2 quorum, orders_3 quorum' streaming 1
}

promises() {
  local slots="SELECT string_agg(slot_name || ' ' || active, ', ' ORDER BY slot_name) FROM pg_replication_slots"
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
    find "$(root 1)" "$(root 2)" -type f \( -path '*/etc/*' -o -name 'postgresql.auto.conf' -o -name '*.signal' \) -exec sha256sum {} +
    find "$(root 1)/var/lib/understudy" "$(root 2)/var/lib/understudy" -maxdepth 1
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
  stop_host 1
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

rebuild() {
  refused 2 rebuild-standby.sh 'no rebuild of the writer'
  is 'and it says why' 1 "$(said 2 'failed: the state names this member as writer')"
  set_state writer i-3
  refused 2 rebuild-standby.sh 'no rebuild out of recovery'
  is 'and it says why' 1 "$(said 2 'failed: PostgreSQL runs here out of recovery')"
  set_state writer i-2
  run 1 rebuild-standby.sh
  wait "$PID"
  until_is 10 'the old writer is a standby' 'orders_1 async, orders_3 quorum' streaming 2
  is 'its old data is kept' 1 "$(find "$(root 1)/var/lib/understudy" -maxdepth 1 -name 'data.2*' | wc -l)"
  run 3 rebuild-standby.sh
  wait "$PID"
  until_is 10 'a running standby is rebuilt' 'orders_1 async, orders_3 quorum' streaming 2
}

lost() {
  local var2
  var2=$(root 2)/var/lib/understudy
  stop_host 2
  mv "$var2/data" "$var2/elsewhere"
  refused 2 setup.sh 'no empty database in place of a lost one'
  is 'and it says why' 1 "$(said 2 "failed: the writer's data is gone")"
}

secrecy() {
  printf '%s\n' "p\\e'r" "e\\p'l" "p\\p'l" te/st+secret session/token== >patterns
  is 'no secret in arguments' '' "$(cat arguments.log)"
  is 'no secret in logs' '' "$(grep -F -f patterns m?.log || true)"
  is 'no secret readable by others' '' "$(grep -rlF -f patterns m? | xargs -r find -L | xargs -r stat -c '%a %n' | grep -v '^600' || true)"
  is 'keys are closed' 600 "$(stat -c %a "$(root 1)/etc/understudy/postgresql/private_key.pem")"
}

authority
cloud
for n in 1 2 3; do member $n; done
background arguments.log "$PYTHON" "$HERE/aws.py" watch
bootstrap
promises
synchronous
again
crash
change
rebuild
lost
secrecy
