#!/bin/bash
# Backups of a cluster of ec2-patroni: patroni.sh boots it, with a repository in a folder, and this is what is tried then:
# backup by whoever leads, archive across a failover, and a point-in-time recovery under Patroni to either side of it.
#
#   tests/nodes/patroni-backups.sh       as patroni.sh
if ! declare -F boot >/dev/null; then
  export INSTEAD=$0
  # What settings.env says is read by each host's scripts: a folder beside all hosts.
  # shellcheck disable=SC2016
  MORE=$(printf '%s\n' '' 'BACKUP_STANZA=shop BACKUP_REPOSITORY=local BACKUP_PATH=${ROOT%/*}/repository BACKUP_RETENTION_FULL=2' \
    'BACKUP_RETENTION_DIFF=7 BACKUP_PROCESS_MAX=2 BACKUP_COMPRESS_LEVEL=6 BACKUP_ARCHIVE_TIMEOUT=60 BACKUP_DUMP_DAYS=0' \
    'BACKUP_FULL_AT="Sun 02:00" BACKUP_DIFF_AT="Mon..Sat 02:00"')
  export MORE NET=127.0.30 PORTS=17566 # beside patroni.sh
  INSTEAD=$(realpath "$0") exec bash "${BASH_SOURCE%/*}/patroni.sh"
fi

insert() { sql "$1" "INSERT INTO rows SELECT coalesce(max(id), 0) + 1 FROM rows" shop; } # HOST
rows() { sql "$1" 'SELECT count(*) FROM rows' shop; }
moment() { sql "$1" "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"; }
archived() { # HOST
  sql "$1" "SELECT pg_logical_emit_message(false, 'a switch', 'wakes the archiver')" >/dev/null
  sql "$1" 'SELECT pg_switch_wal()' >/dev/null
  until_is 30 "$1's segments are all in the archive" 0 \
    sql "$1" "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
}
settled() { until_is 90 "$1" 'leader running, replica streaming, sync_standby streaming' roles; }
restore() { # WHAT ROWS ARGUMENT...: on whoever leads
  local what=$1 expected=$2 writer
  shift 2
  writer=$(leader)
  on "$writer" restore.sh "$@" --yes </dev/null >restore.log 2>&1 || { cat restore.log && exit 1; }
  sed -n 's/^[^ ]* understudy [^ ]*: /   /p' restore.log
  is "$what" "$expected" "$(rows "$writer")"
  settled 'and the others follow, copied anew'
  is 'all have the same' "$expected $expected $expected" "$(for host in m1 m2 m3; do rows $host; done | xargs)"
}

another() { # than HOST
  local now
  now=$(leader)
  [ -n "$now" ] && [ "$now" != "$1" ] && echo yes
}

writer=$(leader)
is 'each has the timers' 3 "$(grep -l understudy-backup-full.timer m?/etc/understudy/units | wc -l)"
sql "$writer" 'CREATE TABLE rows (id int PRIMARY KEY)' shop
for _ in 1 2 3; do insert "$writer"; done
for host in m1 m2 m3; do on $host backup-run.sh full </dev/null >>$host.log 2>&1; done
is 'one backup, by the leader' full \
  "$(jq -r '[.[0].backup[].type] | join(" ")' "$(root "$writer")/var/lib/understudy/backup/info.json")"
T1=$(moment "$writer")
sleep 0.1
insert "$writer"
archived "$writer"
kill_host "$writer"
until_is 60 'another leads' yes another "$writer"
until_is 60 'commits have somebody to wait for' 'leader running, sync_standby streaming' roles
old=$writer writer=$(leader)
insert "$writer"
T2=$(moment "$writer")
sleep 0.1
insert "$writer"
archived "$writer"
is 'the new timeline is in the archive' yes "$([ -n "$(find repository/archive -name '00000002*')" ] && echo yes)"
on "$writer" backup-run.sh diff </dev/null >>"$writer.log" 2>&1
is 'and a backup of it' good "$(jq -r .outcome "$(root "$writer")/var/lib/understudy/backup/status.json")"
keep "$old"
settled 'all are back'
replica=$(for host in m1 m2 m3; do [ $host = "$writer" ] || echo $host; done | head -n 1)
is 'not on a replica' 1 \
  "$(on "$replica" restore.sh --yes </dev/null 2>&1 | grep -c 'is out of recovery: two writers' || true)"
restore 'before the failover' 3 --time "$T1"
# Of the first history, where what was undone still is.
restore 'after the failover, of the history that was undone' 5 --time "$T2" --timeline 2
on "$(leader)" verify.sh </dev/null >verify.log 2>&1 || { cat verify.log && exit 1; }
is 'verify: all is well' 0 "$(grep -c ^FAILED verify.log || true)"
