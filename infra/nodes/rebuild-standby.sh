#!/bin/bash
# Makes a member that may not return as writer a standby, and keeps its old data.
. "${BASH_SOURCE%/*}/lib.sh"
read_state || die "$WHY"
[ "$WRITER" != "$ID" ] || die 'the state names this member as writer'
if as_postgres pg_ctl status -D "$DATA" >/dev/null; then
  # Promotion takes the file away.
  [ -e "$DATA/standby.signal" ] || die 'PostgreSQL runs here out of recovery: stop it first'
  if [ -z "$ROOT" ]; then
    trap 'systemctl start understudy-postgresql' EXIT
    systemctl stop understudy-postgresql
  else as_postgres pg_ctl stop -D "$DATA" -m fast; fi
fi
exec 9<"$VAR"
flock -w 60 9 || die 'PostgreSQL still runs'
rebuilt() { read_state && copy; }
wait_for rebuilt
if [ -d "$DATA" ]; then
  kept=$DATA.$(date -u +%Y%m%dT%H%M%SZ)
  as_postgres mv "$DATA" "$kept"
  log "the old data is $kept"
fi
as_postgres mv "$DATA.new" "$DATA"
log "this member is a standby of $WRITER"
