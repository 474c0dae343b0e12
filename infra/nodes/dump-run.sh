#!/bin/bash
# A dump of the application's database, daily: on the writer, since a standby cancels a query that replay has waited
# for longer than max_standby_streaming_delay (2 s). Every member removes its own old ones.
#
# A dump counts only after pg_restore has read its table of contents. It stays $BACKUP_DUMP_DAYS days; the last good one
# of this host stays for ever.
. "${BASH_SOURCE%/*}/lib.sh"
. "${BASH_SOURCE%/*}/backup.sh"

dump() {
  local file
  file=$BACKUP_DIR/$DATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump
  rm -f "$BACKUP_DIR"/*.new
  WHY=$(as_postgres pg_dump -Fc -w -h "$VAR" -p "$PORT" -U postgres -f "$file.new" "$DATABASE" 2>&1) || return
  WHY=$(as_postgres pg_restore --list "$file.new" 2>&1 >/dev/null) || return
  as_postgres sync "$file.new"
  as_postgres mv "$file.new" "$file"
  log "dumped $DATABASE: ${file##*/}, $(stat -c %s "$file") bytes"
}
# The names sort by time.
remove_old() {
  local file name last=''
  for file in "$BACKUP_DIR/$DATABASE"-*.dump; do [ ! -e "$file" ] || last=$file; done
  while read -r file; do
    name=${file##*/}
    [ "$file" != "$last" ] || continue
    rm -f "$file"
    log "removed $name, older than $BACKUP_DUMP_DAYS days"
  done < <(find "$BACKUP_DIR" -maxdepth 1 -type f -name "$DATABASE-*.dump" -mmin +$((BACKUP_DUMP_DAYS * 1440)) | sort)
}

[ "${BACKUP_DUMP_DAYS:-0}" != 0 ] || die 'this cluster has no dumps'
exec 8>>"$BACKUPS/dump.lock"
flock -n 8 || die 'another dump runs'
FAILED=''
if writes; then dump || FAILED="no dump: $WHY"; else
  log "no dump: $WHY"
  [[ $WHY == *standby* ]] || FAILED=$WHY
fi
remove_old
[ -z "$FAILED" ] || die "$FAILED"
