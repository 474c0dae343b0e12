# What the tests of the members are made of: an AWS, three members, and ways to look at them.
# shellcheck shell=bash
HERE=$(cd "${BASH_SOURCE%/*}" && pwd)
NODES=$HERE/../../infra/nodes
PYTHON=${UNDERSTUDY_PYTHON:-$HERE/../../target/lab/venv/bin/python}
BIN=${POSTGRESQL_BIN:-/usr/lib/postgresql/15/bin}
TTL=8 MINISTACK_PORT=${MINISTACK_PORT:-14566} IMDS_PORT=${IMDS_PORT:-14567} RECORD=orders-rw.db.internal
export AWS_ENDPOINT_URL=http://127.0.0.1:$MINISTACK_PORT
# In memory where that is possible: initdb and base backups sync every file.
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || TMPDIR=/dev/shm
WORK=$(mktemp -d "${TMPDIR:-/tmp}/understudy-nodes.XXXXXX")
chmod 755 "$WORK"
cd "$WORK" || exit
cp -r "$NODES" nodes
NODES=$WORK/nodes # somebody may be changing the other one
STARTED=() SUPERVISOR=() GUARD=() MARK=() SHARED=() CHECKS=0 PID='' MINISTACK=''

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
  local status=${1:-$?} group process left log
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
    for log in "$WORK"/m?/var/log/postgresql/*.json; do echo "--- $log" && tail -n 15 "$log"; done >&2
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
held() { # MEMBER: what its guard item says, with its checkpoint's timeline
  dynamodb GetItem '{"TableName":"test-state","Key":{"cluster":{"S":"orders"},"item":{"S":"guard#i-'"$1"'"}},"ConsistentRead":true}' |
    jq -r '.Item | if .held == null then "no item" else [.held.S, .epoch.N, .shutdown.S, .timeline.N] | join(" ") end'
}
change_item() { # UPDATE VALUES
  dynamodb UpdateItem '{"TableName":"test-state","Key":{"cluster":{"S":"orders"},"item":{"S":"state"}},
    "UpdateExpression":"'"$1"'","ExpressionAttributeValues":{'"$2"'}}' >/dev/null
}
set_state() { change_item "SET $1=:v" '":v":{"S":"'"$2"'"}'; } # ATTRIBUTE VALUE
begin_change() { # KIND FROM: as a pass does, with the next epoch
  change_item 'SET phase=:p, #change=:c ADD epoch :one' '":p":{"S":"changing"},":one":{"N":"1"},
    ":c":{"S":"{\"kind\":\"'"$1"'\",\"from\":\"i-'"$2"'\",\"seen\":[],\"to\":null}"}},"ExpressionAttributeNames":{"#change":"change"'
}
end_change() { # WRITER
  change_item 'SET phase=:p, writer=:w REMOVE #change' '":p":{"S":"steady"},":w":{"S":"i-'"$1"'"}},
    "ExpressionAttributeNames":{"#change":"change"'
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
  background imds.log "$PYTHON" "$HERE/aws.py" imds "$IMDS_PORT"
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do
    kill -0 "$MINISTACK" || { echo "MiniStack did not start with $PYTHON" >&2 && exit 1; }
    sleep 0.1
  done
  "$PYTHON" "$HERE/aws.py" prepare "$WORK"
  settings SETTINGS_END=
}
settings() { # [NAME=VALUE...]: what all hosts share, with these lines at the end; then where the scripts are
  cat references.env - >settings.env <<EOF
TOPOLOGY=ec2-streaming WRITER_RECORD=$RECORD POSTGRESQL_VERSION=15 PORT=5432 DATABASE=orders APPLICATION_ROLE=app
SYNCHRONOUS_REQUIRED=1 MEMBERS="orders_1=$(address 1) orders_2=$(address 2) orders_3=$(address 3)"
TTL=$TTL NEVER_PROMOTE="orders_3" MAX_CONNECTIONS=200 PASSWORD_ENCRYPTION=scram-sha-256 LOG_GROUP=
CLIENT_CIDRS="127.0.0.0/16" FLEET_CIDRS="127.0.0.0/16" PARAMETERS=$(base64 -w 0 <<<'{"deadlock_timeout":"900ms"}')
EOF
  printf '%s\n' "$@" >>settings.env
  "$PYTHON" "$HERE/aws.py" settings settings.env "${SCRIPTS:-$NODES}"
}
member() { # NUMBER [NAME=VALUE...]: what the user data leaves on its host
  local there
  there=$(root "$1")
  mkdir -p "$there/etc/understudy"
  cat >"$there/etc/understudy/identity.env" <<EOF
FLEET=test CLUSTER=orders STACK=understudy-test-orders REGION=eu-west-1 LOGICAL_ID=Member$1 MEMBER=orders_$1 ROLE=member
ADDRESS=$(address "$1") STATE_TABLE=test-state SETTINGS=/understudy/test/clusters/orders/settings BUCKET=understudy-test
DATA_VOLUME= WAL_VOLUME= BACKUP_VOLUME= ${*:2}
EOF
}
run() { # MEMBER SCRIPT [ARGUMENT]: starts it in the background; PID is its process group. Of setup.sh, what the user data runs
  local script
  script=$(root "$1")/opt/understudy/$2
  [ "$2" != setup.sh ] || script=$NODES/bootstrap.sh
  background "m$1.log" env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" SETUP_SECONDS="${WAIT:-30}" TRIES="${TRIES:-2}" \
    bash "$script" "${@:3}"
  PID=$!
}
setup() { # MEMBER: to its end
  run "$1" setup.sh
  wait "$PID"
}
supervise() { # MEMBER: starts it again whenever it ends, as systemd does
  # shellcheck disable=SC2016
  background "m$1.log" env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" \
    bash -c 'cd "$ROOT"; while :; do bash "$ROOT/opt/understudy/start.sh"; sleep 0.2; done'
  SUPERVISOR[$1]=$!
}
guard() { # MEMBER: its guard, as systemd keeps it
  # shellcheck disable=SC2016
  background "m$1.log" env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" \
    bash -c 'cd "$ROOT"; while :; do bash "$ROOT/opt/understudy/guard.sh"; sleep 0.2; done'
  GUARD[$1]=$!
}
end_guard() { # MEMBER
  kill -9 -- "-${GUARD[$1]}"
  wait "${GUARD[$1]}" 2>/dev/null || true
}
milliseconds() { date +%s%3N; }
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
mark() { MARK[$1]=$(wc -l <"m$1.log"); } # MEMBER: forgets what it has said
said() { tail -n +$((${MARK[$1]:-0} + 1)) "m$1.log" | grep -c -- "$2" || true; } # MEMBER PATTERN
