#!/bin/bash
# Figures of PostgreSQL for Prometheus. Run as prometheus, whom pg_ident.conf lets in as monitor, without a password.
. "${BASH_SOURCE%/*}/lib.sh"
export DATA_SOURCE_NAME="user=monitor dbname=postgres host=$SOCKET port=$PORT sslmode=disable"
exec prometheus-postgres-exporter --web.listen-address="$ADDRESS:9187"
