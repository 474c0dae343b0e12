#!/bin/bash
# Makes the DR standby anew:  dr-init.sh [--confirm INIT]
#
# For a standby that has lost its place (its slot kept too little, another history). Stops PostgreSQL, sets its data
# aside as data.old and lets dr-run.sh copy it again. Refuses on one that was promoted: it may hold the only rows.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/backup.sh"
. "$HERE/dr.sh"

WORD=''
[ "${1:-}" != --confirm ] || WORD=${2:-}
[ ! -d "$DATA" ] || [ -e "$DATA/standby.signal" ] ||
  die 'it was promoted: move its data away by hand, if you know what you do'
read_source || die "$WHY"
WRITER=$(ask_source 'SELECT pg_current_wal_lsn()' 2>&1) ||
  log "no writer answers: $WRITER; the copy will be of the replicated backups"
if [ -z "$WORD" ]; then
  echo 'Type INIT to copy all data again.' >&2
  read -r WORD || :
fi
[ "$WORD" = INIT ] || die 'not confirmed; nothing was done'
[ -n "$ROOT" ] || systemctl stop understudy-dr
servers
if ((${#SERVERS[@]})); then as_postgres pg_ctl stop -s -D "$DATA" -m fast; fi
if [ -d "$DATA" ]; then
  rm -rf "$DATA.old"
  as_postgres mv "$DATA" "$DATA.old"
fi
log 'the old data is in data.old; remove it when the new standby streams'
[ -n "$ROOT" ] || systemctl start understudy-dr
