#!/bin/bash
# Run by Patroni when this member has started, stopped or changed its role: ACTION ROLE SCOPE. PgBouncer's clients came
# for the role that was, so those of a member that leads no longer are sent away at once: they come back through
# the load balancer. On a new leader, connections of the time before are closed as they become free.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/pooler.sh"
if ! pooler_console 'SHOW VERSION' >/dev/null 2>&1; then exit 0; fi # it does not run
pooler_databases | while read -r database; do
  if [ "$1" = on_stop ] || [ "$2" != primary ]; then pooler_console "KILL \"$database\"" || :; fi
  # Patroni ends this for the next one: what one killed, the next one resumes. Where nothing was killed, it says so.
  pooler_console "RESUME \"$database\"" 2>/dev/null || :
done
pooler_console RECONNECT
log "PgBouncer: $1, $2"
