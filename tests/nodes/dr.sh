#!/bin/bash
# A standby in a second Region for real: two members and the standby, on 127.0.29.11-13, with pgBackRest and the secret of
# where the members are in an emulated Secrets Manager. First copy, following a failover, the whole primary Region gone
# (its servers, and all of AWS), promotion, its own archive and backups, and a copy from the replicated backups.
#
#   tests/nodes/dr.sh                as root (servers run as postgres) or as any user
set -Eeuo pipefail
MINISTACK_PORT=15586 IMDS_PORT=15587 NET=127.0.29
. "${BASH_SOURCE%/*}/kit.sh"
. "$HERE/backup-kit.sh"

secretsmanager() { # ACTION <BODY
  curl -sSf --aws-sigv4 aws:amz:eu-west-1:secretsmanager --user test:test -H "X-Amz-Target: secretsmanager.$1" \
    -H 'Content-Type: application/x-amz-json-1.1' -d @- "$AWS_ENDPOINT_URL/"
}
# The replica of the secret that the primary's stack keeps.
source_secret() { # HOSTS
  jq -n --arg hosts "$1" --arg record $RECORD '{hosts: $hosts, record: $record, port: "5432"} | {Name: "source", SecretId: "source", SecretString: tojson}'
}
standby() { # what the DR Region's template leaves on its host
  host 3
  sed -i 's/ROLE=member/ROLE=dr/; s/MEMBER=orders_3/MEMBER=orders_dr/' "$(root 3)/etc/understudy/identity.env"
  cat >>"$(root 3)/etc/understudy/settings.env" <<END
TOPOLOGY=ec2-patroni MEMBERS= DR_SLOT=orders_dr DR_REGION=eu-west-1 DR_BUCKET=unused DR_RETENTION_FULL=2 DR_SOURCE_SECRET=source
CLIENT_CIDRS="127.0.0.0/8" FLEET_CIDRS="127.0.0.0/8" DR_CIDR=127.0.0.0/8 PRIMARY_CIDR=127.0.0.0/8
END
  mkdir -p "$(root 3)/run/postgresql" "$(root 3)/var/log/postgresql"
  chown "$WHO" "$(root 3)/run/postgresql" "$(root 3)/var/log/postgresql"
}
setup_standby() {
  ROOT=$(root 3) bash -c '. "$ROOT/opt/understudy/lib.sh"; for f in tune backup dr; do . "$HERE/$f.sh"; done; setup_dr' >>m3.script.log 2>&1
}
# As systemd keeps understudy-dr.
run_standby() {
  # shellcheck disable=SC2016
  background m3.log env ROOT="$(root 3)" IMDS="http://127.0.0.1:$IMDS_PORT/i-3" RETRY_SECONDS=1 \
    bash -c 'cd "$ROOT"; while :; do bash "$ROOT/opt/understudy/dr-run.sh"; sleep 0.3; done'
  SUPERVISOR[3]=$!
}
end_standby() { # its host
  local pid
  pid=$(postmaster 3)
  shared_memory "$pid"
  kill -9 -- "-${SUPERVISOR[3]}"
  wait "${SUPERVISOR[3]}" 2>/dev/null || true
  until ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

prepare() {
  authority
  GATEWAY_PORT=$MINISTACK_PORT BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 STATE_DIR=$WORK/ministack TMPDIR=$WORK \
    background ministack.log "$PYTHON" -m ministack
  MINISTACK=$!
  background imds.log "$PYTHON" "$HERE/aws.py" imds "$IMDS_PORT"
  host 1
  host 2
  "${AS[@]}" "$BIN/initdb" -D "$(var 1)/data" -U postgres -k -A peer >/dev/null
  ROOT=$(root 1) bash -c '. "$ROOT/opt/understudy/lib.sh"; . "$HERE/backup.sh"; setup_backup' >>m1.script.log 2>&1
  serve 1
  until_is 10 'the writer runs' f sql 1 'SELECT pg_is_in_recovery()'
  sql 1 "CREATE ROLE understudy LOGIN REPLICATION PASSWORD 'operator'"
  sql 1 "CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'replication'" && sql 1 'CREATE DATABASE orders'
  sql 1 'CREATE TABLE rows (id int PRIMARY KEY)' orders
  insert 1 100
  "${AS[@]}" "$BIN/pg_basebackup" -c fast -D "$(var 2)/data" -h "$(var 1)" -U postgres
  "${AS[@]}" touch "$(var 2)/data/standby.signal"
  "${AS[@]}" tee -a "$(var 2)/data/postgresql.auto.conf" >/dev/null <<<"primary_conninfo = 'host=$(var 1) user=postgres'"
  ROOT=$(root 2) bash -c '. "$ROOT/opt/understudy/lib.sh"; . "$HERE/backup.sh"; setup_backup' >>m2.script.log 2>&1
  serve 2
  until_is 10 'a member follows' 1 sql 1 'SELECT count(*) FROM pg_stat_replication'
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do sleep 0.1; done
}

first_copy() {
  standby
  setup_standby
  is 'set up with no source at all' "$(printf 'understudy-%s\n' backup-{full,diff,report}.timer dr.service dr-check.timer)" \
    "$(cat "$(root 3)/etc/understudy/units")"
  run_standby
  until_is 10 'it waits for a source' 1 \
    eval "grep -c 'waiting: the secret source was never read; and no backup is replicated' m3.log"
  source_secret "$(address 1) $(address 2)" | secretsmanager CreateSecret >/dev/null
  until_is 20 'it streams, under its name, through its slot' "orders_dr true" sql 1 \
    "SELECT application_name || ' ' || active FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid WHERE slot_name = 'orders_dr'"
  insert 1 5
  until_is 5 'a row arrives' 105 rows 3
  is 'it tells the writer what it still reads' on "$(sql 3 'SHOW hot_standby_feedback')"
  is 'dr-check: all is well' "streams from $(address 1) through the slot orders_dr" \
    "$(script 3 dr-check.sh | tail -n 1)"
  script 3 dr-check.sh report >/dev/null
  is 'its lag is in CloudWatch' 0 "$(metric DrLagSeconds)"
  is 'no backup by a standby' 'no full backup: this member is a standby; the writer makes the backups' \
    "$(script 3 backup-run.sh full | last)"
}

follows() {
  script 1 backup-run.sh full >/dev/null
  is 'verify: what is replicated' 0 "$(try 3 verify.sh | grep -c ^FAILED || true)"
  is 'promotion is refused while the writer answers' 1 \
    "$(try 3 dr-promote.sh --confirm PROMOTE | grep -c "failed: $(address 1) .*a member of the primary Region is out of recovery" || true)"
  stop 1
  is 'a failover' t "$(sql 2 'SELECT pg_promote()')"
  insert 2 5
  try 3 dr-check.sh report >/dev/null
  until_is 20 'it follows the new writer' 110 rows 3
  until_is 10 'through a slot made there' t \
    sql 2 "SELECT active FROM pg_replication_slots WHERE slot_name = 'orders_dr'"
  archived 2
}

region_lost() {
  local before began
  before=$(find "$REPOSITORY" -type f -printf '%p %T@\n' | sort | sha256sum)
  stop 2
  kill -STOP "$MINISTACK" # nothing of AWS answers
  end_standby
  run_standby
  began=$(date +%s%3N)
  until_is 30 'it starts with nothing of the primary Region and nothing of AWS' 110 rows 3
  echo "   in $(($(date +%s%3N) - began)) ms"
  is 'dr-check: it does not follow' 1 "$(try 3 dr-check.sh | grep -c '^does not stream')"
  is 'promotion asks for a word' 'failed: not confirmed; nothing was done' \
    "$(try 3 dr-promote.sh --confirm promote | last)"
  is 'and has not begun' t "$(sql 3 'SELECT pg_is_in_recovery()')"
  script 3 dr-promote.sh --confirm PROMOTE >promote.log
  is 'promoted: the report' '3 false' "$(tail -n 1 promote.log | jq -r '[.timeline, .writer_answered] | join(" ")')"
  insert 3 7
  archived 3
  is 'it archives at once, in its own place' yes \
    "$([ -n "$(find "$REPOSITORY-dr/archive" -name '00000003*')" ] && echo yes)"
  script 3 backup-run.sh full >/dev/null
  is 'and backs up' 0 "$(try 3 verify.sh | grep -c ^FAILED || true)"
  is 'nothing was written to what is replicated' "$before" \
    "$(find "$REPOSITORY" -type f -printf '%p %T@\n' | sort | sha256sum)"
  end_standby
  run_standby
  until_is 20 'after a restart it is still the writer' f sql 3 'SELECT pg_is_in_recovery()'
  is 'with its rows' 117 "$(rows 3)"
  is 'dr-init refuses to discard it' 1 "$(try 3 dr-init.sh --confirm INIT | grep -c 'failed: it was promoted')"
  is 'run again it says the same' 3 "$(script 3 dr-promote.sh | tail -n 1 | jq .timeline)"
  end_standby
}

# A standby that has nothing yet, and no primary Region any more.
from_backups() {
  mv "$(var 3)/data" "$(var 3)/elsewhere"
  mv "$REPOSITORY-dr" "$WORK/elsewhere-dr"
  setup_standby
  run_standby
  until_is 30 'a copy from the replicated backups' t sql 3 'SELECT pg_is_in_recovery()'
  until_is 30 'with all that is in the archive' 110 rows 3
  end_standby
}

prepare
first_copy
follows
region_lost
from_backups
