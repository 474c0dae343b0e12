#!/bin/bash
# One backup:  backup-run.sh full | diff
#
# Run by its timers on every member; a standby only says that it is one. A differential backup without a full one
# before it becomes a full one. Cut short anywhere, run it again: what was copied already is used. How it ended is in
# $BACKUPS/status.json: {"type","outcome","label","reason","started_at","ended_at"}.
. "${BASH_SOURCE%/*}/lib.sh"
. "${BASH_SOURCE%/*}/backup.sh"

status() { # OUTCOME LABEL REASON
  jq -n --arg type "$TYPE" --arg outcome "$1" --arg name "$2" --arg reason "$3" --arg started "$STARTED" \
    '{type: $type, outcome: $outcome, label: (if $name == "" then null else $name end),
      reason: (if $reason == "" then null else $reason end), started_at: $started, ended_at: (now | todate)}' |
    as_postgres tee "$BACKUPS/status.new" >/dev/null
  as_postgres mv "$BACKUPS/status.new" "$BACKUPS/status.json"
}
give_up() {
  status failed '' "$1"
  die "no $TYPE backup: $1"
}

TYPE=${1:-}
[[ $TYPE =~ ^(full|diff)$ ]] || die 'backup-run.sh full or diff'
[ -n "${BACKUP_STANZA:-}" ] || die 'this cluster has no backups'
STARTED=$(date -u +%FT%TZ)
exec 8>>"$BACKUPS/run.lock"
flock -n 8 || {
  log "no $TYPE backup: another one runs"
  exit 0
}
if ! writes; then
  log "no $TYPE backup: $WHY"
  # A standby is as it should be; a server that does not answer is not.
  [[ $WHY == *standby* ]]
  exit
fi
need_stanza || give_up "$WHY"
# Just after a promotion pg_control still has the old timeline, and pgBackRest refuses.
if ! OUT=$(ASK_SECONDS=900 sql CHECKPOINT 2>&1); then give_up "no checkpoint: $OUT"; fi
log "$TYPE backup begins"
if ! OUT=$(backrest --type="$TYPE" backup 2>&1); then give_up "$OUT"; fi
ask_repository || give_up "$WHY"
note_answer
LABEL=$(jq -er '.[0].backup[-1].label' <<<"$ANSWER")
status good "$LABEL" ''
log "$TYPE backup: $(jq -r '.[0].backup[-1] | "\(.label), \(.info.size) bytes, of them copied \(.info.delta)," +
  " in the repository \(.info.repository.delta)"' <<<"$ANSWER")"
