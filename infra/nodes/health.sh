#!/bin/bash
# Once a minute, on every host: how it is, to CloudWatch (namespace Understudy/Hosts) and to the node exporter; and the
# server's log kept within its limit.
. "${BASH_SOURCE%/*}/lib.sh"
TEXTFILES=$ROOT/var/lib/prometheus/node-exporter
LOG_DAYS=7 LOG_MIB=1024

# --- the host -------------------------------------------------------------------------------------------------

# Of the fullest of its file systems.
disk_used() {
  local directory there=()
  for directory in "${ROOT:-/}" "$VAR" "$BACKUP_DIR" ${WAL_DIR:+"$WAL_DIR"}; do
    if [ -d "$directory" ]; then there+=("$directory"); fi
  done
  df --output=pcent "${there[@]}" | awk 'NR > 1 && $1 + 0 > most {most = $1 + 0} END {print most + 0}'
}
used() { # ALL LEFT: lines of /proc/meminfo
  awk -v all="$1:" -v left="$2:" '$1 == all {a = $2} $1 == left {l = $2}
    END {printf "%.1f\n", (a ? 100 - 100 * l / a : 0)}' /proc/meminfo
}
# Since the last look; since the boot, the first time.
cpu_used() {
  local last='0 0' here
  here=$(awk '/^cpu / {for (i = 2; i <= 9; i++) all += $i; print all, $5 + $6}' /proc/stat)
  [ ! -e "$RUN/cpu" ] || last=$(cat "$RUN/cpu")
  echo "$here" >"$RUN/cpu"
  awk -v last="$last" '{split(last, was, " "); all = $1 - was[1]
    printf "%.1f\n", (all > 0 ? 100 - 100 * ($2 - was[2]) / all : 0)}' <<<"$here"
}

# --- the server -----------------------------------------------------------------------------------------------

# Lines "NAME VALUE UNIT". A standby that has replayed all it received is not late, however long nothing was written.
server() {
  local seen
  seen=$(as_postgres timeout 10 psql -XAtqwF ' ' -h "$VAR" -p "$PORT" -U postgres -d postgres -c "
    SELECT 'InRecovery', pg_is_in_recovery()::int, 'Count'
    UNION ALL SELECT 'ReplicationLagSeconds', CASE WHEN NOT pg_is_in_recovery()
        OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
      ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) END, 'Seconds'
    UNION ALL SELECT 'Standbys', count(*), 'Count' FROM pg_stat_replication WHERE state = 'streaming'
    UNION ALL SELECT 'ConnectionsPercent', 100.0 * count(*) / current_setting('max_connections')::int, 'Percent'
      FROM pg_stat_activity WHERE backend_type = 'client backend'
    UNION ALL SELECT 'LongestTransactionSeconds', coalesce(max(extract(epoch FROM now() - xact_start)), 0), 'Seconds'
      FROM pg_stat_activity WHERE backend_type = 'client backend'" 2>/dev/null) || seen=''
  echo "DatabaseUp $([ -n "$seen" ] && echo 1 || echo 0) Count"
  [ -z "$seen" ] || echo "$seen"
}

# --- both -----------------------------------------------------------------------------------------------------

# ConnectionsPercent -> understudy_connections_percent
for_prometheus() {
  awk '{name = $1; gsub(/[A-Z]/, "_&", name); name = "understudy" (name ~ /^_/ ? "" : "_") tolower(name)
    print "# TYPE " name " gauge\n" name " " $2}'
}
# Whole files, oldest first; the newest stays, whatever its size.
trim_log() {
  local name size total=0
  [ -d "$LOGS" ] || return 0
  find "$LOGS" -type f -name 'postgresql-*' -mtime "+$LOG_DAYS" -delete
  find "$LOGS" -type f -name 'postgresql-*' -printf '%T@ %s %p\n' | sort -rn | while read -r _ size name; do
    total=$((total + size))
    ((total <= LOG_MIB << 20 || total == size)) || rm "$name"
  done
}

mkdir -p "$RUN"
values="disk_used_percent $(disk_used) Percent
mem_used_percent $(used MemTotal MemAvailable) Percent
swap_used_percent $(used SwapTotal SwapFree) Percent
cpu_usage_active $(cpu_used) Percent"
case $ROLE in
  member | dr)
    values+=$'\n'$(server)
    trim_log
    ;;
esac
[ ! -d "$TEXTFILES" ] || place "$TEXTFILES/understudy.prom" 644 root <<<"$(for_prometheus <<<"$values")"
put_metrics "$MEMBER" <<<"$values" || die "$WHY"
