#!/bin/bash
# Whether the backups are what one hopes for:  verify.sh [--full]
#
# Without --full: looks only. With it: restores the newest backup beside the data, starts it read-only, counts every
# row, checks every B-tree where amcheck is installed, and removes it. Says a line for each check; exits with 1 if one
# failed.
# shellcheck disable=SC2317 # the checks are called by their names
. "${BASH_SOURCE%/*}/lib.sh"
. "${BASH_SOURCE%/*}/backup.sh"
SCRATCH=$VAR/verify FAILED=0 INFO='[]'

check() { # WHAT COMMAND...: which sets WHY, also where all is well
  local what=$1
  shift
  WHY=''
  if "$@"; then echo "ok      $what${WHY:+: $WHY}"; else
    FAILED=1
    echo "FAILED  $what: ${WHY:-no}"
  fi
}

installed() { WHY=$(pgbackrest version 2>&1); }
configured() {
  WHY="$CONFIG says nothing of the stanza $BACKUP_STANZA"
  grep -qxF "[$BACKUP_STANZA]" "$CONFIG" && WHY=$CONFIG
}
reachable() { WHY=$(backrest repo-ls 2>&1 | head -c 300) && WHY=''; }
stanza_there() {
  local code
  INFO=$(backrest --output=json info 2>&1) || { WHY=$INFO; return 1; }
  code=$(jq -r '.[0].status.code' <<<"$INFO")
  WHY=$(jq -r '.[0].status.message' <<<"$INFO")
  [ "$code" = 0 ] || [ "$code" = 2 ]
}
# Archives a segment and waits until it is in the repository; of a standby, pgBackRest asks for its primary.
archives() {
  writes || { [[ $WHY == *standby* ]] && return; }
  WHY=$(backrest check 2>&1) && WHY=''
}
archive_mode() {
  WHY=$(sql "SELECT 'archive_mode ' || current_setting('archive_mode') || ', archive_command ' ||
    current_setting('archive_command')" 2>&1)
  [[ $WHY == 'archive_mode on, '*archive.sh* ]]
}
full_backup() {
  WHY=$(jq -r '[.[0].backup[] | select(.type == "full" and .error != true)] | "\(length) of them"' <<<"$INFO") &&
    [ "${WHY%% *}" -ge 1 ]
}
age() {
  local hours
  hours=$(jq -r '([.[0].backup[] | select(.error != true) | .timestamp.stop] | max) as $last
    | if $last then (now - $last) / 3600 | floor else empty end' <<<"$INFO")
  WHY='there is none'
  [ -n "$hours" ] || return
  WHY="the newest is $hours hours old"
  ((hours < ${MAX_AGE_HOURS:-48}))
}
archive_range() {
  WHY=$(jq -r '[.[0].archive[] | select(.min != null) | "\(.id) from \(.min) to \(.max)"] | join(", ")' <<<"$INFO") &&
    [ -n "$WHY" ]
}

# --- a restore beside the data ------------------------------------------------------------------------

remove_scratch() {
  local pid
  if [ -e "$SCRATCH/data/postmaster.pid" ] && read -r pid <"$SCRATCH/data/postmaster.pid" &&
    [[ /proc/$pid/cwd -ef $SCRATCH/data ]]; then
    as_postgres pg_ctl stop -s -D "$SCRATCH/data" -m immediate || :
  fi
  as_postgres rm -rf "$SCRATCH"
}
# Read-only, for nobody but us: it stays a standby of nothing, and writes no archive.
start_scratch() {
  local control
  control=$(as_postgres pg_controldata -D "$SCRATCH/data" | awk -F ': +' '
    $1 ~ /^max_.* setting$/ {sub(/ setting$/, "", $1); sub(/xact/, "transaction", $1); print $1 " = " $2}')
  as_postgres tee "$SCRATCH/postgresql.conf" >/dev/null <<END
$control
listen_addresses = ''
unix_socket_directories = '$SCRATCH'
port = $PORT
hba_file = '$SCRATCH/pg_hba.conf'
ident_file = '$SCRATCH/pg_ident.conf'
hot_standby = on
archive_mode = off
logging_collector = off
shared_buffers = 32MB
${ROOT:+dynamic_shared_memory_type = mmap}
END
  as_postgres tee "$SCRATCH/pg_hba.conf" >/dev/null <<<'local all postgres peer map=verify'
  as_postgres tee "$SCRATCH/pg_ident.conf" >/dev/null <<<"verify $OWNER postgres"
  as_postgres pg_ctl start -w -t "${VERIFY_SECONDS:-3600}" -D "$SCRATCH/data" \
    -l "$SCRATCH/log" -o "-c config_file=$SCRATCH/postgresql.conf" >/dev/null 2>&1 8>&- 3>&- || {
    WHY="it does not start: $(grep -hE -m 2 'FATAL|PANIC' "$SCRATCH/log" 2>/dev/null)"
    return 1
  }
}
there() { # SQL DATABASE
  as_postgres psql -XAtqw -v ON_ERROR_STOP=1 -h "$SCRATCH" -p "$PORT" -U postgres -d "$2" -c "$1"
}
room() {
  local wanted left
  wanted=$(jq '[.[0].backup[] | select(.error != true)][-1].info.size / 1024 | ceil' <<<"$INFO")
  left=$(df -k --output=avail "$VAR" | tail -n 1)
  WHY="the newest backup has $wanted KiB, $left KiB are left on $VAR"
  ((wanted + wanted / 10 < left))
}
restored() {
  local config
  remove_scratch
  as_postgres mkdir -m 700 "$SCRATCH" "$SCRATCH/data" || return
  for config in "$CONFIG" "$COPY"; do
    [ -e "$config" ] || continue
    WHY=$(CONFIG=$config backrest --pg1-path="$SCRATCH/data" --no-delta --archive-mode=off \
      --type=immediate --target-action=pause --recovery-option="restore_command=ARCHIVE_SYNC=1 $RESTORE_COMMAND" \
      restore 2>&1) && WHY='' && return
  done
  return 1
}
# Sums up what is in it: every row is read.
counted() {
  local database rows=0 tables=0 n t
  while read -r database; do
    read -r t n < <(there "SELECT count(*), coalesce(sum((xpath('/row/n/text()', query_to_xml(
      format('SELECT count(*) AS n FROM %s', oid::regclass), false, true, '')))[1]::text::bigint), 0)
      FROM pg_class WHERE relkind IN ('r', 'm') AND relpersistence = 'p'" "$database" | tr '|' ' ') || return
    tables=$((tables + t)) rows=$((rows + n))
    WHY="$database cannot be read"
  done < <(there "SELECT datname FROM pg_database WHERE datallowconn" postgres)
  WHY="$tables tables with $rows rows"
  ((tables > 0 && rows > 0))
}
indexes() {
  local database checked=0 n said
  while read -r database; do
    [ "$(there "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'" "$database")" = 1 ] || continue
    if ! said=$(there "SELECT count(bt_index_check(c.oid)) FROM pg_class c
      JOIN pg_am a ON a.oid = relam JOIN pg_index i ON i.indexrelid = c.oid
      WHERE amname = 'btree' AND relkind = 'i' AND relpersistence = 'p' AND indisvalid" "$database" 2>&1); then
      WHY="$database: $said"
      return 1
    fi
    checked=$((checked + said))
  done < <(there "SELECT datname FROM pg_database WHERE datallowconn" postgres)
  WHY="$checked checked"
  ((checked > 0)) || WHY='amcheck is in no database; none checked'
}
full_check() {
  local began=$SECONDS
  exec 8>>"$BACKUPS/verify.lock"
  flock -n 8 || die 'another verify.sh runs'
  trap remove_scratch EXIT
  check 'room for a restore' room
  if [ "$FAILED" = 1 ]; then return; fi
  check 'restore of the newest backup' restored
  if [ "$FAILED" = 1 ]; then return; fi
  check 'it starts, read-only' start_scratch
  if [ "$FAILED" = 1 ]; then return; fi
  check 'its rows' counted
  check 'its indexes' indexes
  remove_scratch
  trap - EXIT
  echo "        in $((SECONDS - began)) s"
}

# A standby in a second Region has only what is replicated, until it is promoted.
if [ "$ROLE" = dr ] && [ -e "$DATA/standby.signal" ]; then CONFIG=$COPY; fi
[ -n "${BACKUP_STANZA:-}" ] || die 'this cluster has no backups'
check 'pgBackRest' installed
check 'configuration' configured
check 'repository' reachable
check 'stanza' stanza_there
if [ "$FAILED" = 0 ]; then
  check 'archive_mode' archive_mode
  check 'a segment goes to the archive' archives
  check 'full backups' full_backup
  check 'age' age
  check 'archive' archive_range
fi
if [ "${1:-}" = --full ] && [ "$FAILED" = 0 ]; then full_check; fi
exit $FAILED
