#!/bin/bash
# Backups for real: two PostgreSQL 15 servers on 127.0.24.11-12, pgBackRest and a repository in a folder that both see.
# Stanza, archive, full, diff, verification by a restore, point-in-time recovery to the second, also on either side of
# a promotion (A26), dumps, a backup and a restore killed in the middle.
#
#   tests/nodes/backups.sh           as root (servers run as postgres) or as any user
set -Eeuo pipefail
MINISTACK_PORT=15566 IMDS_PORT=15567
. "${BASH_SOURCE%/*}/kit.sh"
. "$HERE/backup-kit.sh"

prepare() {
  authority
  GATEWAY_PORT=$MINISTACK_PORT BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 STATE_DIR=$WORK/ministack TMPDIR=$WORK \
    background ministack.log "$PYTHON" -m ministack
  background imds.log "$PYTHON" "$HERE/aws.py" imds "$IMDS_PORT"
  host 1
  host 2
  "${AS[@]}" "$BIN/initdb" -D "$(var 1)/data" -U postgres -k -A peer >/dev/null
  serve 1
  until_is 10 'the writer runs' f sql 1 'SELECT pg_is_in_recovery()'
  sql 1 "CREATE ROLE understudy LOGIN PASSWORD 'operator'" && sql 1 'CREATE DATABASE orders'
  sql 1 'CREATE TABLE rows (id int PRIMARY KEY)' orders && sql 1 'CREATE EXTENSION amcheck' orders
  # As before a stanza: pushes fail, and lose nothing.
  sql 1 'SELECT pg_switch_wal()' >/dev/null
  until curl -sf -o /dev/null "$AWS_ENDPOINT_URL/_ministack/health"; do sleep 0.1; done
}

first() {
  is 'without a repository: the segment waits' yes "$(sleep 1; [ "$(sql 1 "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")" -ge 1 ] && echo yes)"
  setup 1
  is 'what systemd runs' "$(printf 'understudy-%s.timer\n' backup-full backup-diff backup-report dump)" \
    "$(cat "$(root 1)/etc/understudy/units")"
  is 'the calendar is the spec'"'s" 'OnCalendar=Sun 02:00 UTC' "$(tail -n 1 "$(root 1)/etc/systemd/system/understudy-backup-full.timer.d/schedule.conf")"
  before=$(find "$(root 1)/etc" -type f -exec stat -c '%n %Y %i' {} + | sort)
  setup 1
  is 'set-up run again changes nothing' "$before" "$(find "$(root 1)/etc" -type f -exec stat -c '%n %Y %i' {} + | sort)"
  is 'a report before any backup' 'no backup yet' "$(script 1 backup-report.sh | last)"
  archived 1
  is 'verify: no backup yet' 1 "$(try 1 verify.sh | grep -c '^FAILED  full backups' || true)"
  insert 1 100
  script 1 backup-run.sh diff >/dev/null
  is 'a diff without a full one is a full one' full "$(backups)"
  insert 1 100
  script 1 backup-run.sh diff >/dev/null
  is 'then it is a diff' 'full diff' "$(backups)"
  is 'and says so' good "$(jq -r .outcome "$(var 1)/backup/status.json")"
  script 1 backup-run.sh full >/dev/null
  is 'a full one' 'full diff full' "$(backups)"
  archived 1
  ASK_AGAIN_S=0 script 1 backup-report.sh >/dev/null
  is 'the age is in CloudWatch' yes "$([ "$(metric BackupAgeSeconds)" -lt 60 ] && echo yes)"
  is 'nothing waits' 0 "$(metric ArchiveAgeSeconds)"
  is 'and for the exporter' 4 \
    "$(grep -c '^understudy_' "$(root 1)/var/lib/prometheus/node-exporter/understudy_backup.prom")"
}

verification() {
  local out
  archived 1
  out=$(try 1 verify.sh --full)
  is 'verify: all is well' '' "$(grep -v '^ok' <<<"$out" | grep -v '^  ' || true)"
  is 'verify: every row of the backup' 1 "$(grep -c 'its rows: .* rows$' <<<"$out")"
  is 'verify: indexes' 1 "$(grep -cE 'its indexes: [1-9][0-9]* checked' <<<"$out")"
  is 'verify: nothing is left' no "$([ -e "$(var 1)/verify" ] && echo yes || echo no)"
  is 'verify: no new timeline in the archive' '' "$(find "$REPOSITORY" -name '00000002*')"
}

standby() {
  "${AS[@]}" "$BIN/pg_basebackup" -c fast -D "$(var 2)/data" -h "$(var 1)" -U postgres
  "${AS[@]}" touch "$(var 2)/data/standby.signal"
  "${AS[@]}" tee -a "$(var 2)/data/postgresql.auto.conf" >/dev/null <<<"primary_conninfo = 'host=$(var 1) user=postgres'"
  setup 2
  serve 2
  until_is 10 'the standby streams' 1 sql 1 'SELECT count(*) FROM pg_stat_replication'
  is 'no backup on a standby' 'no full backup: this member is a standby; the writer makes the backups' \
    "$(script 2 backup-run.sh full | last)"
  is 'none was made' 'full diff full' "$(backups)"
  is 'nor a dump' 'no dump: this member is a standby; the writer makes the backups' "$(script 2 dump-run.sh | last)"
  is 'nor a report' '' "$(script 2 backup-report.sh; ls "$(root 2)/var/lib/prometheus/node-exporter")"
}

dumps() {
  local dir old
  dir=$(root 1)/var/backups/postgresql
  # Older than the last that is good: goes. The last good one stays, however old.
  old=$dir/orders-20260101T000000Z.dump
  script 1 dump-run.sh >/dev/null
  is 'a dump' 1 "$(find "$dir" -name 'orders-*.dump' | wc -l)"
  is 'with the rows' 1 \
    "$("$BIN/pg_restore" -l "$(find "$dir" -name 'orders-*.dump')" | grep -c 'TABLE DATA public rows')"
  "${AS[@]}" touch "$old"
  find "$dir" -name '*.dump' -exec touch -d '-20 days' {} +
  script 2 dump-run.sh >/dev/null # another host's: touches nothing here
  sql 1 'ALTER DATABASE orders RENAME TO elsewhere'
  is 'a dump that fails' 1 "$(try 1 dump-run.sh | grep -c 'failed: no dump' || true)"
  sql 1 'ALTER DATABASE elsewhere RENAME TO orders'
  is 'removes the old one, never the last good one' "1 no" \
    "$(find "$dir" -name '*.dump' | wc -l) $([ -e "$old" ] && echo yes || echo no)"
}

cuts() {
  insert 1 200000
  background m1.script.log env ROOT="$(root 1)" IMDS=http://127.0.0.1:1/ bash "$(root 1)/opt/understudy/backup-run.sh" full
  PID=$!
  until "${AS[@]}" find "$REPOSITORY/backup/orders" -path '*F/pg_data/*' -newer "$(var 1)/backup/status.json" 2>/dev/null | grep -q .; do
    kill -0 $PID || break
  done
  is 'two never run' 'no diff backup: another one runs' "$(script 1 backup-run.sh diff | last)"
  kill -9 -- -$PID
  wait $PID 2>/dev/null || true
  is 'a backup that was killed is none' 'full diff full' "$(backups)"
  script 1 backup-run.sh full >/dev/null
  is 'and the next one is a backup' good "$(jq -r .outcome "$(var 1)/backup/status.json")"
  is 'two full ones are kept' 'full full' "$(backups)"
}

# Rows before the switch, the switch, rows after it: the archive has both timelines.
promotion() {
  BEFORE=$(rows 1)
  T1=$(moment 1)
  sleep 0.1
  insert 1 50
  T2=$(moment 1)
  sleep 0.1
  insert 1 1
  archived 1
  until_is 10 'the standby has all' "$((BEFORE + 51))" rows 2
  stop 1
  is 'promoted' t "$(sql 2 'SELECT pg_promote()')"
  insert 2 7
  T3=$(moment 2)
  sleep 0.1
  insert 2 9
  archived 2
  is 'the new timeline archives at once' yes "$([ -n "$(find "$REPOSITORY/archive" -name '00000002*')" ] && echo yes)"
  is 'verify: on the new writer' 0 "$(try 2 verify.sh | grep -c '^FAILED' || true)"
  script 2 backup-run.sh diff >/dev/null
  is 'a diff on the new writer' 'full full diff' "$(backups)"
}

refusals() {
  local said
  said() { try 1 restore.sh "$@" | last; }
  is 'restore: two writers' "failed: $(address 2) is out of recovery: two writers; stop it first" "$(said --yes)"
  stop 2
  is 'restore: no zone' 'failed: no time with a zone: 2026-11-21T17:00:00' \
    "$(said --time 2026-11-21T17:00:00 --yes | sed 's/;.*//')"
  is 'restore: no such day' 'failed: no time: 2026-02-31T17:00:00Z' \
    "$(said --time 2026-02-31T17:00:00Z --yes | sed 's/;.*//')"
  is 'restore: not yet' 'failed: 2099-01-01T00:00:00+01:00 is not yet' "$(said --time 2099-01-01T00:00:00+01:00 --yes)"
  is 'restore: before all backups' 'failed: no backup that ended before 2020-01-01T00:00:00Z of timeline latest or an earlier one in the repository' \
    "$(said --time 2020-01-01T00:00:00Z --yes)"
  is 'restore: not confirmed' 'failed: not confirmed; nothing was done' "$(said --time "$T1")"
  go 1
  until_is 10 'member 1 is back' f sql 1 'SELECT pg_is_in_recovery()'
  is 'restore: while it runs' 'failed: PostgreSQL runs here: pause Understudy for this cluster, then systemctl stop understudy-postgresql' \
    "$(said --yes)"
  stop 1
}

restore() { # WHAT ROWS ARGUMENT...: on member 1
  local what=$1 expected=$2
  shift 2
  : >restore.log # the last one's is not this one's
  script 1 restore.sh "$@" --yes >restore.log &
  until grep -q ': restoring' restore.log || ! kill -0 $!; do sleep 0.05; done
  go 1
  wait $! || { cat restore.log && exit 1; }
  is "$what" "$expected" "$(rows 1)"
  is 'no target is left' 0 "$(grep -c recovery_target "$(var 1)/data/postgresql.auto.conf" || true)"
  stop 1
}
recoveries() {
  restore 'to a second before the switch: rows before are there, rows after are not' "$BEFORE" --time "$T1"
  restore 'just before the switch' "$((BEFORE + 50))" --time "$T2" --timeline 1
  restore 'all of the old timeline' "$((BEFORE + 51))" --timeline 1
  restore 'to a time after the switch' "$((BEFORE + 58))" --time "$T3" --timeline 2
  touch "$(root 1)/stopped"
  : >restore.log
  try 1 restore.sh --time "$T3" --timeline 1 --yes >restore.log &
  until grep -q ': restoring' restore.log || ! kill -0 $!; do sleep 0.05; done
  go 1
  wait $! || true
  is 'a time that the timeline does not reach' 1 \
    "$(grep -c "failed: the archive ends before $T3 on timeline 1" restore.log)"
  touch "$(root 1)/stopped"
  until_is 10 'which does not run' no runs 1
  # Killed in the middle, as soon as files of the backup are there, and once more.
  background m1.script.log env ROOT="$(root 1)" bash "$(root 1)/opt/understudy/restore.sh" --timeline 2 --yes
  PID=$!
  until [ -e "$(var 1)/data/backup.manifest" ] || ! kill -0 $PID; do :; done
  kill -9 -- -$PID
  wait $PID 2>/dev/null || true
  go 1
  sleep 1
  is 'half a restore does not start' no "$(sql 1 'SELECT 1' >/dev/null 2>&1 && echo yes || echo no)"
  touch "$(root 1)/stopped"
  restore 'and again, to the end of timeline 2' "$((BEFORE + 67))" --timeline 2
  go 1
  until_is 10 'member 1 runs' f sql 1 'SELECT pg_is_in_recovery()'
  archived 1
  script 1 backup-run.sh diff >/dev/null
  is 'and backs up' good "$(jq -r .outcome "$(var 1)/backup/status.json")"
}

prepare
first
verification
standby
dumps
cuts
promotion
refusals
recoveries
