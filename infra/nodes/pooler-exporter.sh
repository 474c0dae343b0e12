#!/bin/bash
# Figures of PgBouncer for Prometheus, as the user that it runs as.
. "${BASH_SOURCE%/*}/lib.sh"
exec "${AS[@]}" python3 "$HERE/pooler-exporter.py" "$ADDRESS" 9127 "$SOCKET" 6432 3>&- </dev/null
