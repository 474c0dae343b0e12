#!/bin/bash
# What every host's set-up promises, whatever its role: bootstrap.sh, the steps, refreshing, the firewall, tuning. One
# member of ec2-streaming on 127.0.24.11 is the host that it is tried on.
#
#   tests/nodes/base.sh           as root or as any user; nft is asked about the rules only as root
#
# UNDERSTUDY_PYTHON: see members.sh.
set -Eeuo pipefail
MINISTACK_PORT=${MINISTACK_PORT:-14586} IMDS_PORT=${IMDS_PORT:-14587}
. "${BASH_SOURCE%/*}/kit.sh"
address() { echo "127.0.24.1$1"; }

# --- pure functions -----------------------------------------------------------------------------------------

# A host of its own that nothing ever runs on: only functions are called.
on_paper() { # "NAME=VALUE..." COMMAND...
  local root=$WORK/paper words=$1
  shift
  mkdir -p "$root/etc/understudy" "$root/var/lib/understudy"
  cat >"$root/etc/understudy/identity.env" <<EOF
FLEET=test CLUSTER=shop STACK= REGION=eu-west-1 LOGICAL_ID=Host MEMBER=shop_1 ROLE=member ADDRESS=10.0.1.5
STATE_TABLE=test-state SETTINGS=/none BUCKET=none DATA_VOLUME= WAL_VOLUME= BACKUP_VOLUME=
EOF
  cat >"$root/etc/understudy/settings.env" <<EOF
TOPOLOGY=ec2-patroni PORT=5432 MEMBERS="shop_1=10.0.1.5 shop_2=10.0.2.5" ETCD="shop-etcd-1=10.0.1.10 shop-etcd-2=10.0.2.10"
CLIENT_CIDRS="10.0.0.0/16 10.0.0.0/8" FLEET_CIDRS=10.0.0.0/16 CLUSTER_CIDRS=10.0.0.0/16 MANAGEMENT_CIDRS=192.0.2.0/24
BASTION=10.0.101.4 ADMIN_CIDRS="192.0.2.1/32 192.0.2.2/32" MONITORING=10.0.1.20 MONITORING_CIDRS=10.9.0.0/16 DR_CIDR=10.1.0.0/16
EOF
  printf '%s\n' "$words" >>"$root/etc/understudy/identity.env"
  ROOT=$root POSTGRESQL_BIN=$BIN bash -c '. "$1/lib.sh"; for file in packages firewall tune host; do . "$1/$file.sh"; done; shift; "$@"' \
    - "$NODES" "$@"
}
# The sources that a port is open to.
open_to() { # RULES PORT
  sed -nE "/dport \{ ([0-9]+, )*$2( |,)/ s/.*saddr ([^ ]+) .*/\1/p" <<<"$1" | sort -u | xargs
}
firewall() {
  local role rules
  for role in member etcd bastion monitoring dr; do
    rules=$(on_paper "ROLE=$role" firewall_rules)
    [ "$(id -u)" != 0 ] || is "nft takes the rules of role $role" '' "$(nft -c -f - <<<"$rules" 2>&1)"
    is "$role: what is not allowed is dropped" 1 "$(grep -c 'policy drop' <<<"$rules")"
  done
  rules=$(on_paper ROLE=member firewall_rules)
  is 'PostgreSQL: clients, members, balancer, second Region' '10.0.0.0/16 10.0.0.0/8 10.0.1.5 10.0.2.5 10.1.0.0/16' "$(open_to "$rules" 5432)"
  is 'Patroni: fleet, members, monitoring' '10.0.0.0/16 10.0.1.20 10.0.1.5 10.0.2.5 10.9.0.0/16' "$(open_to "$rules" 8008)"
  is 'SSH: the bastion and the managers' '10.0.101.4 192.0.2.0/24' "$(open_to "$rules" 22)"
  is 'exporters: monitoring' '10.0.1.20 10.9.0.0/16' "$(open_to "$rules" 9187)"
  is 'no etcd on members' '' "$(open_to "$rules" 2379)"
  rules=$(on_paper ROLE=etcd firewall_rules)
  is 'etcd: members, etcd, monitoring' '10.0.1.10 10.0.1.20 10.0.1.5 10.0.2.10 10.0.2.5 10.9.0.0/16' "$(open_to "$rules" 2379)"
  is 'its peers: etcd alone' '10.0.1.10 10.0.2.10' "$(open_to "$rules" 2380)"
  is 'no PostgreSQL there' '' "$(open_to "$rules" 5432)"
  rules=$(on_paper ROLE=bastion firewall_rules)
  is 'the bastion: its administrators alone' '192.0.2.1/32 192.0.2.2/32' "$(open_to "$rules" 22)"
}

setting() { sed -n "s/^$2 = '\(.*\)'$/\1/p" <<<"$1" | tail -n 1; } # LINES NAME
sizes_of() { # MIB CPUS [MAX_CONNECTIONS]
  local lines
  lines=$(MEMORY_MIB=$1 CPUS=$2 on_paper "MAX_CONNECTIONS=${3:-200}" sizes)
  echo "$(setting "$lines" shared_buffers) $(setting "$lines" effective_cache_size) $(setting "$lines" maintenance_work_mem)" \
    "$(setting "$lines" work_mem) $(setting "$lines" max_worker_processes)"
}
tuning() {
  local lines data=$WORK/tuned size
  is '1 GiB' '240MB 720MB 60MB 4MB 8' "$(sizes_of 960 2)"
  is '8 GiB' '1960MB 5880MB 490MB 4MB 8' "$(sizes_of 7840 2)"
  is '32 GiB' '8000MB 24000MB 2000MB 20MB 14' "$(sizes_of 32000 8)"
  is '512 GiB, 20 connections' '128000MB 384000MB 2048MB 64MB 70' "$(sizes_of 512000 64 20)"
  lines=$(on_paper "PARAMETERS=$(base64 -w 0 <<<'{"work_mem":"7MB","log_min_duration_statement":"250","application_name":"it'"'"'s"}')" postgresql_settings)
  is "the spec's own come last" "7MB 250 it''s" "$(setting "$lines" work_mem) $(setting "$lines" log_min_duration_statement) $(setting "$lines" application_name)"
  # PostgreSQL itself reads them.
  mkdir "$data"
  [ "$(id -u)" != 0 ] || chown postgres "$data"
  as_server "$BIN/initdb" -D "$data" -A reject >/dev/null
  for size in 512 960 512000; do
    (MEMORY_MIB=$size CPUS=64 on_paper PARAMETERS= postgresql_settings) >"$WORK/tuned.conf"
    is "PostgreSQL takes the settings of $size MiB" "1 jsonlog 86400 on replica" "$(
      for name in wal_keep_size log_destination log_rotation_age archive_mode wal_level; do
        as_server "$BIN/postgres" -D "$data" -c config_file="$WORK/tuned.conf" -C "$name" 2>&1
      done | sed 's/^1024$/1/; s/^1440$/86400/' | xargs)"
  done
}
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi
}

# The worked example of Amazon's: S3 API reference, "Signature Calculations for the Authorization Header".
signing() {
  is 'a signature as Amazon makes it' f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41 "$(
    REGION=us-east-1 "$PYTHON" - "$NODES/bootstrap.sh" <<'END'
import pathlib, sys
text = pathlib.Path(sys.argv[1]).read_text()
program = {"__name__": "bootstrap"}
exec(text.split("<<'END'\n", 1)[1].split("\nEND\n", 1)[0], program)
key = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
header = program["sign"](key, "s3", "GET", "https://examplebucket.s3.amazonaws.com/test.txt", b"", {"range": "bytes=0-9"}, "20130524T000000Z")
print(header.rpartition("=")[2])
END
  )"
}

# --- bootstrap, cuts, reasons ---------------------------------------------------------------------------------

item() { # jq filter over the item of set-up
  dynamodb GetItem '{"TableName":"test-state","Key":{"cluster":{"S":"orders"},"item":{"S":"setup#Member1"}},"ConsistentRead":true}' |
    jq -r ".Item | $1"
}
signal() { # what the stack says of the one that it got
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:cloudformation --user test:test "$AWS_ENDPOINT_URL/" \
    -d 'Action=DescribeStackEvents&Version=2010-05-15&StackName=understudy-test-orders' |
    grep -oi 'uniqueId: [^<]*' | sed 's/^[^ ]* //' | head -n 1
}
bad_ends() {
  local there=$WORK/m1
  refused 1 setup.sh 'without settings: it fails'
  is 'and says where' bootstrap "$(item .step.S)"
  is 'and why' 1 "$(item .reason.S | grep -c '^the settings /understudy/test/clusters/orders/settings: ssm: 400 .*ParameterNotFound')"
  until_is 10 'so does the stack, as far as there is room' 'i-1 bootstrap: the settings /understudy/test/clusters/orders/set' signal
  printf '%s\n' 'TOPOLOGY=ec2-streaming' >settings.env
  "$PYTHON" "$HERE/aws.py" settings settings.env "$NODES" 0badcafe
  refused 1 setup.sh 'another SHA-256: it fails'
  is 'and why' 'bootstrap the bundle nodes/' "$(item '[.step.S, .reason.S] | join(" ")' | grep -o '^bootstrap the bundle nodes/' || item .)"
  is 'with both numbers' 1 "$(item .reason.S | grep -c 'tar.gz: its SHA-256 is [0-9a-f]\{64\}, not 0badcafe$')"
  is 'and nothing of it is unpacked' no "$([ -e "$there/opt/understudy" ] && echo yes || echo no)"
  settings TOPOLOGY=ec2-abacus
  refused 1 setup.sh 'an unknown topology: it fails'
  is 'and why' 'host no such role: member of ec2-abacus' "$(item '[.step.S, .reason.S] | join(" ")')"
  settings TLS_SECRET=arn:aws:secretsmanager:eu-west-1:000000000000:secret:none-AbCdEf
  WAIT=3 refused 1 setup.sh 'a secret that is missing: it fails when its time is over'
  is 'and why' 'secrets the certificate cannot be read' "$(item '[.step.S, .reason.S] | join(" ")')"
  settings OPERATOR_SECRET=
  WAIT=3 refused 1 setup.sh 'a secret without a name: it fails'
  is 'and why' 'secrets the passwords cannot be read' "$(item '[.step.S, .reason.S] | join(" ")')"
}

# Killed as soon as a step begins, each of them, one after the other; then it ends as if nothing had been.
cuts() {
  local name before
  settings SYNCHRONOUS_REQUIRED=0 'MEMBERS="orders_1='"$(address 1)"'"' NEVER_PROMOTE=
  for name in packages volumes host postgresql secrets firewall database units bans exporters logs agent; do
    mark 1
    cut_setup 1 eval "said 1 'setup: $name\$' | grep -qx 1"
  done
  is 'cut at each step: no word of success' no "$([ -e "$WORK/m1/etc/understudy/ready" ] && echo yes || echo no)"
  setup 1
  supervise 1
  guard 1
  until_is 10 'and then it serves' f sql 1 'SELECT pg_is_in_recovery()'
  is 'and has no reason any more' null "$(item .reason.S)"
  is 'all units, once each' 'understudy-guard.service understudy-health.timer understudy-postgresql.service understudy-refresh.timer' \
    "$(sort "$WORK/m1/etc/understudy/units" | xargs)"
  before=$(fingerprint)
  setup 1
  is 'run again: nothing changes' "$before" "$(fingerprint)"
}
fingerprint() {
  postmaster 1
  (cd "$WORK/m1" && find etc/understudy opt -name '*.*' -type f -printf '%p %T@ %i\n' | grep -v settings.env | sort && readlink opt/understudy)
}

# --- refreshing -----------------------------------------------------------------------------------------------

refresh() { # MEMBER
  run "$1" refresh.sh
  wait "$PID"
}
refreshing() {
  local first old link
  first=$(postmaster 1) link=$(readlink "$WORK/m1/opt/understudy")
  mark 1
  refresh 1
  is 'no news: nothing is done' "0 $first" "$(said 1 setup) $(postmaster 1)"

  settings SYNCHRONOUS_REQUIRED=0 'MEMBERS="orders_1='"$(address 1)"'"' NEVER_PROMOTE= CLIENT_CIDRS=127.0.24.0/24 MAX_CONNECTIONS=150 PORT=5432
  refresh 1
  is 'other clients: by a reload' "$first" "$(postmaster 1)"
  is 'clients of the new network' '127.0.24.0/24' "$(sql 1 "SELECT string_agg(DISTINCT address || '/24', ' ') FROM pg_hba_file_rules WHERE 'app' = ANY (user_name) AND netmask = '255.255.255.0'")"
  is 'and no others' 0 "$(sql 1 "SELECT count(*) FROM pg_hba_file_rules WHERE 'app' = ANY (user_name) AND netmask = '255.255.0.0'")"
  is 'what needs a restart is told' 1 "$(said 1 'reloaded; these wait for a restart: max_connections$')"
  is 'and waits' 200 "$(sql 1 'SHOW max_connections')"
  is 'the same scripts' "$link" "$(readlink "$WORK/m1/opt/understudy")"

  old=$(pgrep -f "^bash $WORK/m1/opt/understudy/guard.sh" | head -n 1)
  cp -r "$NODES" other
  echo '# another version' >>other/guard.sh
  SCRIPTS=$WORK/other settings SYNCHRONOUS_REQUIRED=0 'MEMBERS="orders_1='"$(address 1)"'"' NEVER_PROMOTE= SYNCHRONOUS_REQUIRED=1
  cut_refresh
  refresh 1
  is 'other scripts' '# another version' "$(tail -n 1 "$WORK/m1/opt/understudy/guard.sh")"
  is 'under another name' yes "$([ "$(readlink "$WORK/m1/opt/understudy")" != "$link" ] && echo yes)"
  until_is 10 'the guard is another process' yes eval "kill -0 $old 2>/dev/null && echo no || echo yes"
  until_is 10 'and watches' yes eval "pgrep -f '^bash $WORK/m1/opt/understudy/guard.sh' >/dev/null && echo yes"
  is 'PostgreSQL is not' "$first" "$(postmaster 1)"
  is 'a set that nobody published is not promised' '' "$(sql 1 'SHOW synchronous_standby_names')"
}
# Cut after the scripts are there and before set-up is done: the next time it does not say "no news".
cut_refresh() {
  mark 1
  run 1 refresh.sh
  until [ "$(said 1 'setup: volumes')" = 1 ]; do kill -0 "$PID"; done
  kill -9 -- "-$PID"
  wait "$PID" 2>/dev/null || true
}

# --- looking after the host -----------------------------------------------------------------------------------

metrics() { # jq filter over what CloudWatch has
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:monitoring --user test:test "$AWS_ENDPOINT_URL/" \
    -d 'Action=ListMetrics&Version=2010-08-01&Namespace=Understudy/Hosts' | grep -o "<MetricName>[^<]*" | sed 's/.*>//' | sort -u | xargs
}
health() {
  local logs=$WORK/m1/var/log/postgresql text=$WORK/m1/var/lib/prometheus/node-exporter
  mkdir -p "$text"
  touch -d '8 days ago' "$logs/postgresql-old.json"
  truncate -s 2G "$logs/postgresql-large.json"
  touch -d '1 day ago' "$logs/postgresql-large.json"
  run 1 health.sh
  wait "$PID"
  is 'CloudWatch has the values' 'ConnectionsPercent DatabaseUp InRecovery LongestTransactionSeconds ReplicationLagSeconds Standbys cpu_usage_active disk_used_percent mem_used_percent swap_used_percent' "$(metrics)"
  is 'so has Prometheus' 'understudy_database_up 1 understudy_in_recovery 0' "$(grep -E '^understudy_(database_up|in_recovery) ' "$text/understudy.prom" | sort | xargs)"
  is 'old logs go, and large ones' '' "$(find "$logs" -name 'postgresql-old*' -o -name 'postgresql-large*')"
  is 'the one in use stays' yes "$(find "$logs" -name '*.json' | grep -q . && echo yes)"
  is 'the log is JSON' LOG "$(cat "$logs"/*.json | jq -r 'select(.message | startswith("connection authorized")) | .error_severity' | sort -u)"
  is 'the monitor may look' t "$(as_server "$BIN/psql" -XAtq -h "$WORK/m1/run/postgresql" -U monitor -d postgres -c "SELECT pg_has_role('pg_monitor', 'USAGE')")"
}

authority
tuning
firewall
signing
cloud
member 1
curl -sSf -o /dev/null --aws-sigv4 aws:amz:eu-west-1:ssm --user test:test -H 'X-Amz-Target: AmazonSSM.DeleteParameter' \
  -H 'Content-Type: application/x-amz-json-1.1' -d '{"Name":"/understudy/test/clusters/orders/settings"}' "$AWS_ENDPOINT_URL/"
bad_ends
cuts
refreshing
health
end_guard 1
