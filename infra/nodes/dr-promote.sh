#!/bin/bash
# Makes the DR standby the writer:  dr-promote.sh [--confirm PROMOTE] [--force-approved]
#
# Asks for the word PROMOTE, unless it is given. Refuses while a member of the primary Region answers out of recovery
# (I16: another Region is promoted on positive evidence or approval): stop it, or say --force-approved. There is no way
# back but to build a standby of this one. Run again after a cut, it does what is left: the stanza and the full backup.
# The last line of stdout: {"timeline","lsn","last_transaction","writer_answered","seconds"}.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/backup.sh"
. "$HERE/dr.sh"
exec 3>&2
BEGAN=$NOW FORCE='' WORD='' ANSWERED=false

while (($#)); do
  case $1 in
    --confirm) WORD=${2:-} && shift ;;
    --force-approved) FORCE=yes ;;
    *) die "not known: $1; dr-promote.sh [--confirm PROMOTE] [--force-approved]" ;;
  esac
  shift
done
exec 8>>"$BACKUPS/promote.lock"
flock -n 8 || die 'another dr-promote.sh runs'
RECOVERY=$(sql 'SELECT pg_is_in_recovery()' 2>&1) || die "PostgreSQL does not answer here: $RECOVERY"

if [ "$RECOVERY" = t ]; then
  if [ -s "$SOURCE_FILE" ] &&
    WRITER=$(ask_source "SELECT host(inet_server_addr()), pg_current_wal_lsn()" 2>/dev/null); then
    ANSWERED=true
    WHY="$WRITER: a member of the primary Region is out of recovery; stop it first, or --force-approved"
    [ -n "$FORCE" ] || die "$WHY"
  fi
  LATEST=$(sql "SELECT coalesce(to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC',
    'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), 'none'), pg_last_wal_replay_lsn()")
  log "the last transaction here is of ${LATEST% *}, at ${LATEST#* }; what came later is lost"
  if [ -z "$WORD" ]; then
    echo 'Type PROMOTE to make this standby the writer.' >&2
    read -r WORD || :
  fi
  [ "$WORD" = PROMOTE ] || die 'not confirmed; nothing was done'
  as_postgres tee "$BACKUPS/promoted" >/dev/null <<<"${LATEST% *}"
  log 'promoting'
  [ "$(ASK_SECONDS=70 sql 'SELECT pg_promote(true, 60)')" = t ] ||
    die 'pg_promote did not end within 60 s: look at the log of PostgreSQL'
fi
# pg_control has the new timeline after a checkpoint only.
ASK_SECONDS=900 sql CHECKPOINT
read -r TIMELINE LSN < <(sql 'SELECT timeline_id, pg_current_wal_lsn() FROM pg_control_checkpoint()')
log "open, on timeline $TIMELINE"
# The archive waits for its stanza; from here on it is the only one of this timeline.
need_stanza || die "promoted, but it archives nothing: $WHY"
sql 'SELECT pg_switch_wal()' >/dev/null
if [ -z "$ROOT" ]; then systemctl start --no-block understudy-backup-full.service; fi
log 'next: point the application here; then a full backup is made, and a standby of this one can be built'
now
read -r LATEST <"$BACKUPS/promoted" || LATEST=none
jq -cn --argjson timeline "$TIMELINE" --arg lsn "$LSN" --arg last "$LATEST" --argjson answered $ANSWERED \
  --argjson ms $((NOW - BEGAN)) \
  '{$timeline, $lsn, last_transaction: $last, writer_answered: $answered, seconds: ($ms / 1000)}'
