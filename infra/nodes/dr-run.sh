#!/bin/bash
# Every start of PostgreSQL on the DR standby; the first time, its copy of the data. Without `standby.signal` it has
# been promoted, and starts as what it is.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/tune.sh"
. "$HERE/backup.sh"
. "$HERE/dr.sh"
trap 'exit 130' INT # bash alone would not heed it in its sleep

# From the writer, or, when there is none to be reached, from the replicated backups. In a place of its own until it is
# whole.
copy_source() {
  as_postgres rm -rf "$DATA.new"
  need_slot || return
  log "copying the data of the writer"
  # Under another name: a copy in progress is no synchronous standby.
  WHY="the copy failed: $(as_postgres pg_basebackup -wc fast -S "$DR_SLOT" -D "$DATA.new" \
    -d "$(source_conninfo replicator) application_name=copy" 2>&1)"
}
copy_backup() {
  local there
  there=$(CONFIG=$COPY backrest --output=json info 2>/dev/null |
    jq -r '[.[0].backup[]? | select(.error != true)][-1].label // empty')
  [ -n "$there" ] || return
  log "restoring $there from the replicated backups"
  as_postgres rm -rf "$DATA.new" && as_postgres mkdir -m 700 "$DATA.new" || return
  WHY="the restore failed: $(CONFIG=$COPY backrest --pg1-path="$DATA.new" --no-delta --type=standby restore 2>&1)" ||
    return
  # What it left there for recovery is in understudy.conf already.
  as_postgres sed -i '/^restore_command/d' "$DATA.new/postgresql.auto.conf"
}
obtained() {
  local why
  [ ! -d "$DATA" ] || return 0
  WHY='no source'
  if ! read_source || ! copy_source; then
    why=$WHY
    copy_backup || { WHY="$why; and no backup is replicated"; return 1; }
  fi
  as_postgres touch "$DATA.new/standby.signal" && sync "$DATA.new" "$DATA.new/standby.signal" &&
    as_postgres mv "$DATA.new" "$DATA" && sync "$VAR"
}

exec 9<"$VAR"
flock -n 9 || die 'PostgreSQL runs already'
until obtained; do
  once "waiting: $WHY"
  sleep "${RETRY_SECONDS:-10}"
done
# Not waited for: what is on the disk will do.
if [ -e "$DATA/standby.signal" ]; then
  if read_source; then source_configure; else log "$WHY"; fi
fi
atleast_configure
# /run is empty after a boot.
install -d -m 2775 -o "$OWNER" "$SOCKET"
log "starting: $([ -e "$DATA/standby.signal" ] && echo 'it is a standby' || echo 'it was promoted')"
exec "${AS[@]}" postgres -D "$DATA" -c "config_file=$CONF/understudy.conf" 3>&- </dev/null
