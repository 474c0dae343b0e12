#!/bin/bash
# Every start of PgBouncer.
. "${BASH_SOURCE%/*}/lib.sh"
install -d -m 2775 -o "$OWNER" "$SOCKET" # /run is empty after a boot
mkdir -p "$RUN" && echo $$ >"$RUN/pooler.pid" # what follows keeps the number
# -q: it has a log of its own.
exec "${AS[@]}" pgbouncer -q "$CONF/pgbouncer.ini" 3>&- </dev/null
