#!/bin/bash
# How old the last backups are, and how long WAL has waited for the archive: each minute, by a timer.
#
# The writer sends it to CloudWatch (namespace Understudy/Hosts, dimensions Fleet and Cluster: the writer moves), where
# the template's alarms are; every member leaves it for its node exporter. Makes the stanza where there is none, and
# asks for the first full backup. The repository is asked every 10 minutes, since each question lists objects.
. "${BASH_SOURCE%/*}/lib.sh"
. "${BASH_SOURCE%/*}/backup.sh"
ASK_AGAIN_S=${ASK_AGAIN_S:-600}

# Whether info.json is younger than ASK_AGAIN_S, with a stanza in it.
fresh() {
  local age
  [ -e "$BACKUPS/info.json" ] || return
  age=$(($(date +%s) - $(stat -c %Y "$BACKUPS/info.json")))
  ((age < ASK_AGAIN_S)) && jq -e '.[0].status.code == 0' "$BACKUPS/info.json" >/dev/null
}
# The last answer stays when there is no new one: what it tells grows old, and the alarms say so.
read_info() { fresh || { need_stanza && note_answer; }; }
# Sets VALUE of each name. Without any backup they are as old as the database's creation.
measure() {
  local since waiting failing any full
  since=$(sql "SELECT extract(epoch FROM (pg_stat_file('PG_VERSION')).modification)::bigint")
  read -r waiting failing < <(sql "SELECT
    (SELECT coalesce(extract(epoch FROM now() - min(modification))::bigint, 0)
      FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
    (last_failed_time IS NOT NULL AND (last_archived_time IS NULL OR last_failed_time > last_archived_time))::int
    FROM pg_stat_archiver")
  read -r any full < <(jq -r --argjson since "$since" '
    [.[0].backup // [] | .[] | select(.error != true)] as $good
    | [$good, ($good | map(select(.type == "full")))] | map((map(.timestamp.stop) | max) // $since)
    | map((now | floor) - .) | join(" ")' "$BACKUPS/info.json")
  VALUE=([ArchiveAgeSeconds]=$waiting [ArchiveFailing]=$failing [BackupAgeSeconds]=$any [FullBackupAgeSeconds]=$full)
}
to_cloudwatch() {
  local name
  put_metrics < <(for name in "${!VALUE[@]}"; do
    echo "$name ${VALUE[$name]} $([[ $name == *Seconds ]] && echo Seconds || echo Count)"
  done)
}
# For the node exporter, in Prometheus's words.
to_exporter() {
  local name
  for name in "${!VALUE[@]}"; do
    echo "understudy_$(sed -E 's/([A-Z])/_\L\1/g; s/^_//' <<<"$name") ${VALUE[$name]}"
  done | sort >"$METRICS/understudy_backup.new"
  chmod 644 "$METRICS/understudy_backup.new"
  mv "$METRICS/understudy_backup.new" "$METRICS/understudy_backup.prom"
}

declare -A VALUE=()
if ! writes; then
  # A standby says nothing: the writer's word is the cluster's.
  rm -f "$METRICS/understudy_backup.prom" "$BACKUPS/info.json"
  [[ $WHY == *standby* ]] || die "$WHY"
  exit 0
fi
FAILED=''
tidy || FAILED='postgresql.auto.conf cannot be tidied'
read_info || FAILED+="${FAILED:+; }$WHY"
if [ -e "$BACKUPS/info.json" ]; then
  measure
  to_exporter
  to_cloudwatch || FAILED+="${FAILED:+; }no metrics sent: $WHY"
  if jq -e '.[0].status.code == 2' "$BACKUPS/info.json" >/dev/null; then
    log 'no backup yet'
    # A differential one becomes a full one. Not waited for: it may take hours.
    if [ -z "$ROOT" ]; then systemctl start --no-block understudy-backup-diff.service; fi
  fi
fi
[ -z "$FAILED" ] || die "$FAILED"
