#!/bin/bash
# PgBouncer in front of RDS for real: a host of the role pooler, set up by its own setup.sh, before two PostgreSQL servers
# that stand in for RDS on 127.0.31.11-12, a writer and its replica, each with a certificate of its endpoint's name. The
# writer's record moves from one to the other, after the old writer died, and after it hung: clients get through.
#
#   tests/nodes/pooler-tier.sh       as root: PgBouncer asks DNS servers on port 53 only
set -Eeuo pipefail
[ "$(id -u)" = 0 ] || { echo 'not root: nothing is tried' && exit 0; }
. "${BASH_SOURCE%/*}/kit.sh"
Q=\' NET=127.0.31 MINISTACK_PORT=15691 IMDS_PORT=15692 RECORD=leads-rw.db.internal BALANCER=leads.elb.eu-west-1.amazonaws.com
export AWS_ENDPOINT_URL=http://127.0.0.1:$MINISTACK_PORT
ENDPOINT=abc.eu-west-1.rds.amazonaws.com POOL=$NET.21 PASSWORD="a:p\\p'l \"i"
trap 'status=$?; set +e; trap - ERR; cp p1/var/log/postgresql/pgbouncer.log . 2>/dev/null; (exit $status); finish' EXIT
trap 'exit 143' TERM INT

# --- what stands in for RDS -----------------------------------------------------------------------------------

address() { echo "$NET.1$1"; }
as_owner() { setpriv --reuid=postgres --regid=postgres --init-groups timeout "${SECONDS_EACH:-20}" "$@"; }
sql() { as_owner "$BIN/psql" -XAtq -h "$WORK/db$1" -U postgres -c "$2" "${3:-postgres}"; } # SERVER SQL [DATABASE]
certificate() { # FILE AUTHORITY NAME...
  local names=("${@:3}")
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "tls/$1.key" -out "tls/$1.csr" 2>/dev/null
  openssl x509 -req -in "tls/$1.csr" -CA "tls/$2.crt" -CAkey "tls/$2.key" -days 2 -out "tls/$1.crt" \
    -extfile <(printf -v names 'DNS:%s,' "${names[@]}" && echo "subjectAltName=${names%,}") 2>/dev/null
}
authorities() {
  local name
  mkdir tls
  for name in ca rds other; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" \
      -keyout "tls/$name.key" -out "tls/$name.crt" 2>/dev/null
  done
  certificate server ca $RECORD "*.elb.eu-west-1.amazonaws.com"
  certificate leads-1 rds "leads-1.$ENDPOINT"
  certificate leads-2 rds "leads-2.$ENDPOINT"
  certificate false other "leads-2.$ENDPOINT"
}
configure() { # SERVER CERTIFICATE
  install -m 600 -o postgres "tls/$2.key" "db$1/server.key"
  install -m 600 -o postgres "tls/$2.crt" "db$1/server.crt"
  as_owner tee "db$1/data/postgresql.auto.conf" "db$1/auto" >/dev/null <<END
listen_addresses = '$(address "$1")'
unix_socket_directories = '$WORK/db$1'
ssl = on
ssl_cert_file = '$WORK/db$1/server.crt'
ssl_key_file = '$WORK/db$1/server.key'
dynamic_shared_memory_type = mmap
log_connections = on
primary_conninfo = 'host=$WORK/db$((3 - $1)) user=postgres'
END
  printf 'local all all trust\nlocal replication all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n' |
    as_owner tee "db$1/data/pg_hba.conf" >/dev/null
}
start() { # SERVER
  background "db$1.log" setpriv --reuid=postgres --regid=postgres --init-groups "$BIN/postgres" -D "$WORK/db$1/data"
  SUPERVISOR[$1]=$!
  until_is 20 "server $1 answers" 1 sql "$1" 'SELECT 1'
}
end() { # SERVER
  shared_memory "${SUPERVISOR[$1]}"
  kill -9 -- "-${SUPERVISOR[$1]}"
}
servers() {
  local number
  for number in 1 2; do install -d -o postgres "db$number"; done
  as_owner "$BIN/initdb" -D db1/data -U postgres -A trust >/dev/null
  configure 1 leads-1
  start 1
  sql 1 "CREATE ROLE app LOGIN PASSWORD '${PASSWORD//$Q/$Q$Q}'"
  sql 1 'CREATE DATABASE leads OWNER app'
  replica 2
}
replica() { # SERVER: a new copy of the other one
  as_owner rm -rf "db$1/data"
  as_owner "$BIN/pg_basebackup" -c fast -D "db$1/data" -h "$WORK/db$((3 - $1))" -U postgres
  configure "$1" "leads-$1"
  as_owner touch "db$1/data/standby.signal"
  start "$1"
  until_is 20 "server $1 follows" 1 sql "$((3 - $1))" 'SELECT count(*) FROM pg_stat_replication'
}
record() { # SERVER: the writer's record leads there
  cat >names.new <<END
$RECORD CNAME leads-$1.$ENDPOINT
leads-1.$ENDPOINT A $(address 1)
leads-2.$ENDPOINT A $(address 2)
END
  mv names.new names
}

# --- the host -------------------------------------------------------------------------------------------------

cloud() {
  : >names
  background dns.log "$PYTHON" "$HERE/dns.py" $NET.53 53 "$WORK/names"
  GATEWAY_PORT=$MINISTACK_PORT BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 STATE_DIR=$WORK/ministack TMPDIR=$WORK \
    background ministack.log "$PYTHON" -m ministack
  MINISTACK=$!
  background imds.log "$PYTHON" "$HERE/aws.py" imds $IMDS_PORT
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do
    kill -0 "$MINISTACK" || { echo "MiniStack did not start with $PYTHON" >&2 && exit 1; }
    sleep 0.1
  done
  dynamodb CreateTable '{"TableName":"test-state","BillingMode":"PAY_PER_REQUEST",
    "AttributeDefinitions":[{"AttributeName":"cluster","AttributeType":"S"},{"AttributeName":"item","AttributeType":"S"}],
    "KeySchema":[{"AttributeName":"cluster","KeyType":"HASH"},{"AttributeName":"item","KeyType":"RANGE"}]}' >/dev/null
  # The key that only a newer Region needs is of no use here: the authority is in the bundle.
  application_secret "$PASSWORD" | secretsmanager CreateSecret >/dev/null
  jq -n --rawfile certificate tls/server.crt --rawfile private_key tls/server.key --rawfile certificate_authority tls/ca.crt \
    '{Name: "tls", SecretString: ($ARGS.named | tojson)}' | secretsmanager CreateSecret >/dev/null
}
application_secret() { jq -n --arg password "$1" '{Name: "application", SecretId: "application", SecretString: ({username: "app"} + $ARGS.named | tojson)}'; }
secretsmanager() { # ACTION <BODY
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:secretsmanager --user test:test -H "X-Amz-Target: secretsmanager.$1" \
    -H 'Content-Type: application/x-amz-json-1.1' -d @- "$AWS_ENDPOINT_URL/"
}
host() { # what bootstrap.sh leaves on it
  mkdir -p p1/etc/understudy p1/opt p1/run p1/var/lib
  cp -r "$NODES" p1/opt/understudy
  rm -rf p1/opt/understudy/rds-ca
  install -D -m 644 tls/rds.crt p1/opt/understudy/rds-ca/test.pem
  cat >p1/etc/understudy/identity.env <<END
FLEET=test CLUSTER=leads STACK= REGION=eu-west-1 LOGICAL_ID=Pooler1 MEMBER=leads-pooler-1 ROLE=pooler ADDRESS=$POOL
STATE_TABLE=test-state SETTINGS=/understudy/test/clusters/leads/settings BUCKET=none
END
  cat >p1/etc/understudy/settings.env <<END
TOPOLOGY=rds-postgres POSTGRESQL_VERSION=15 PORT=5432 DATABASE=leads APPLICATION_ROLE=app WRITER_RECORD=$RECORD
TLS_SECRET=tls APPLICATION_SECRET=application CLIENT_CIDRS="127.0.0.0/8" CLUSTER_CIDRS="10.9.0.0/16" DNS_SERVER=$NET.53
POOL_MODE=session POOL_MAX_CLIENT_CONN=10000 POOL_SIZE=100 POOL_MIN=25 POOL_RESERVE=50 POOL_RESERVE_TIMEOUT=3
POOL_LIFETIME=3600 POOL_IDLE_TIMEOUT=900 POOL_CLIENT_IDLE_TIMEOUT=900 POOL_QUERY_TIMEOUT=6
END
}
on() { # SCRIPT
  ROOT=$WORK/p1 IMDS=http://127.0.0.1:$IMDS_PORT/i-p1 bash "$WORK/p1/opt/understudy/$1" </dev/null >>p1.log 2>&1
}
keep() {
  # shellcheck disable=SC2016
  background p1.log env ROOT="$WORK/p1" IMDS="http://127.0.0.1:$IMDS_PORT/i-p1" \
    bash -c 'cd "$ROOT"; while :; do bash "$ROOT/opt/understudy/pooler-run.sh"; sleep 0.3; done'
}
login() { echo "host=$BALANCER hostaddr=$POOL port=6432 user=app dbname=${1:-leads} sslmode=verify-full sslrootcert=$WORK/tls/ca.crt"; }
pool() { PGPASSWORD=$PASSWORD timeout "${SECONDS_EACH:-5}" "$BIN/psql" -XAtqw -c "$1" -d "$(login "${2:-}")" 2>&1; } # SQL [DATABASE]
console() { as_owner "$BIN/psql" -XAtq -h "$WORK/p1/run/postgresql" -p 6432 -U pgbouncer -c "$1" pgbouncer; }
config() { console 'SHOW CONFIG' | awk -F '|' -v name="$1" '$1 == name {print $2}'; }

# --- what it promises -----------------------------------------------------------------------------------------

promises() {
  local name
  on setup.sh
  keep
  until_is 10 'PgBouncer runs' 1 eval "console 'SHOW VERSION' | grep -c PgBouncer"
  SECONDS_EACH=20 pool 'SELECT current_user, current_database()' >first.out &
  sleep 2
  is 'while there is no record, a client waits' '' "$(cat first.out)"
  record 1
  wait $!
  is 'as soon as there is one, it gets through' 'app|leads' "$(cat first.out)"
  is 'as the spec says' 'session 10000 100 25 50 3 6 900 900 3600 1' "$(for name in pool_mode max_client_conn default_pool_size \
    min_pool_size reserve_pool_size reserve_pool_timeout query_timeout client_idle_timeout server_idle_timeout server_lifetime \
    dns_max_ttl; do config $name; done | xargs)"
  is 'with TLS to the server, too' 't TLSv1.3' "$(pool "SELECT ssl || ' ' || version FROM pg_stat_ssl WHERE pid = pg_backend_pid()" | sed s/true/t/)"
  is 'not without TLS' 1 "$(PGPASSWORD=x "$BIN/psql" -d "host=$POOL port=6432 user=app dbname=leads sslmode=disable" -c '' 2>&1 | grep -c 'SSL required' || true)"
  is 'not with another password' 1 "$(PGPASSWORD=x "$BIN/psql" -wd "host=$POOL port=6432 user=app dbname=leads sslmode=require" -c '' 2>&1 | grep -c FATAL || true)"
  is 'no other database' 1 "$(pool 'SELECT 1' postgres | grep -c FATAL || true)"
  pool 'CREATE TABLE rows (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now())'
  is 'its firewall lets in clients and the load balancer' 2 "$(grep -c 'tcp dport { 6432 }' p1/etc/understudy/nftables.conf)"
}

# A client that stays, and how it ended.
stay() {
  # shellcheck disable=SC2016
  PGPASSWORD=$PASSWORD background stay.log "$BIN/psql" -XAtq -d "$(login)" -f <(echo 'SELECT 1 \watch 0.2')
  STAYS=$!
  sleep 1
  is 'a client stays' there "$(there)"
}
there() { kill -0 "$STAYS" 2>/dev/null && echo there || echo gone; }
write() { SECONDS_EACH=1 pool 'INSERT INTO rows DEFAULT VALUES RETURNING 1'; }

dies() {
  local began
  write >/dev/null
  stay
  began=$(milliseconds)
  end 1
  until_is 5 'the writer dies: who was on it learns of it' gone there
  is 'promoted' t "$(sql 2 'SELECT pg_promote()')"
  record 2
  until_is 10 'clients write to the new one' 1 write
  echo "   $(($(milliseconds) - began)) ms after the old one died"
  is 'their rows are there' t "$(sql 2 'SELECT count(*) >= 2 FROM rows' leads)"
  is 'no PgBouncer was restarted' 1 "$(grep -c 'process up' p1/var/log/postgresql/pgbouncer.log)"
}

# A host that hangs or is cut off sends no end. Whoever comes anew finds the new writer, and those who waited are freed.
hangs() {
  local began
  replica 1
  stay
  began=$(milliseconds)
  # All of its processes: each has a session of its own.
  pkill -STOP -u postgres -f "$WORK/db2/data" || :
  kill -STOP "${SUPERVISOR[2]}"
  pkill -STOP -P "${SUPERVISOR[2]}"
  is 'promoted' t "$(sql 1 'SELECT pg_promote()')"
  record 1
  until_is 20 'the writer hangs: clients write to the new one' 1 write
  echo "   $(($(milliseconds) - began)) ms after the old one hung"
  until_is 15 'and who was on the old one is freed' gone there
  echo "   $(($(milliseconds) - began)) ms after it hung"
  until_is 15 'nobody is left on it' 0 eval "console 'SHOW SERVERS' | grep -c '|$(address 2)|' || true"
  pkill -CONT -P "${SUPERVISOR[2]}"
  kill -CONT "${SUPERVISOR[2]}"
  end 2
}

# Whoever is at the address of the record must be RDS.
impostor() {
  replica 2
  as_owner "$BIN/pg_ctl" -D db2/data -m fast stop >/dev/null
  configure 2 false
  start 2
  record 2
  console 'RECONNECT' >/dev/null
  sleep 1.5
  is 'another authority is not RDS' '' "$(SECONDS_EACH=2 pool 'SELECT 1' || true)"
  until_is 5 'and the log says so' yes eval "grep -q 'TLS handshake error\|certificate verif' p1/var/log/postgresql/pgbouncer.log && echo yes"
  record 1
  until_is 20 'the record is right again' 1 write
}

again() {
  local before
  sums() { find p1/etc -type f ! -name ready ! -name lock | sort | xargs sha256sum; }
  before=$(sums)
  on setup.sh
  is 'set-up again changes nothing' "$before" "$(sums)"
  is 'units' "$(printf 'understudy-%s\n' health.timer pooler-exporter.service pooler-tier.timer pooler.service refresh.timer)" \
    "$(sort -u p1/etc/understudy/units)"
  # Another password of the application.
  sql 1 "ALTER ROLE app PASSWORD 'another one'"
  application_secret 'another one' | secretsmanager PutSecretValue >/dev/null
  on pooler-tier-run.sh
  PASSWORD='another one' until_is 10 'a new password is taken without a restart' 1 write
  is 'and the old one is not' 1 "$(pool 'SELECT 1' | grep -c FATAL || true)"
  is 'the same PgBouncer' 1 "$(grep -c 'process up' p1/var/log/postgresql/pgbouncer.log)"
  is 'no secret in its logs' '' "$(grep -F -l -e "p\\p'l" -e 'another one' -e te/st+secret ./p1.log p1/var/log/postgresql/* || true)"
  is 'none that others can read' '' "$(grep -rlF -e "p\\p'l" -e 'another one' p1/etc | xargs -r stat -c '%a %n' | grep -v '^600' || true)"
}

main() {
  authorities
  cloud
  servers
  host
  promises
  dies
  hangs
  impostor
  again
}
main
