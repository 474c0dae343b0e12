#!/bin/bash
# Run by `lab backup` on a member, with ROOT set:
#
#   restore-to.sh labels             the backups in the repository, oldest first
#   restore-to.sh rows TIME RUN...   restores to TIME beside the data, and prints the client's rows of these runs
#
# It uses the member's own configuration of pgBackRest, and no other of the product's own ways to restore.
# shellcheck disable=SC1091,SC2034 # what it sources is on the member, and uses what it sets
set -Eeuo pipefail
. "$ROOT/opt/understudy/lib.sh"
. "$ROOT/opt/understudy/backup.sh"
SCRATCH=$VAR/lab-restore
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR

remove() {
  if [ -e "$SCRATCH/data/postmaster.pid" ]; then as_postgres pg_ctl stop -s -D "$SCRATCH/data" -m immediate || :; fi
  as_postgres rm -rf "$SCRATCH"
}
there() { # DATABASE SQL
  as_postgres psql -XAtqw -v ON_ERROR_STOP=1 -h "$SCRATCH" -p "$PORT" -U postgres -d "$1" -c "$2"
}
restore() { # TIME
  as_postgres mkdir -m 700 "$SCRATCH" "$SCRATCH/data"
  backrest --pg1-path="$SCRATCH/data" --no-delta --archive-mode=off --type=time --target="$1" --target-action=pause \
    --recovery-option="restore_command=ROOT=$ROOT ARCHIVE_SYNC=1 exec /bin/bash $ROOT/opt/understudy/archive.sh get \"%f\" \"%p\"" \
    restore >&2
}
# On no network, and with what a standby needs at least of the settings that the backup's server had.
start() {
  as_postgres pg_controldata -D "$SCRATCH/data" | sed -nE \
    's/^(max_[a-z_]+)_xacts setting: +/\1_transactions = /p; s/^(max_locks_per)_xact setting: +/\1_transaction = /p
     /_xact/!s/^(max_[a-z_]+) setting: +/\1 = /p' | as_postgres tee "$SCRATCH/postgresql.conf" >/dev/null
  as_postgres tee -a "$SCRATCH/postgresql.conf" >/dev/null <<END
listen_addresses = ''
unix_socket_directories = '$SCRATCH'
port = $PORT
hba_file = '$SCRATCH/pg_hba.conf'
ident_file = '$SCRATCH/pg_ident.conf'
archive_mode = off
logging_collector = off
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
END
  as_postgres tee "$SCRATCH/pg_hba.conf" >/dev/null <<<'local all postgres peer map=lab'
  as_postgres tee "$SCRATCH/pg_ident.conf" >/dev/null <<<"lab $OWNER postgres"
  ROOT=$ROOT ARCHIVE_SYNC=1 as_postgres pg_ctl start -w -t 60 -D "$SCRATCH/data" -l "$SCRATCH/log" \
    -o "-c config_file=$SCRATCH/postgresql.conf" >/dev/null 2>&1 3>&- || { cat "$SCRATCH/log" >&2 && return 1; }
}
reached() {
  WHY=$(there postgres 'SELECT pg_get_wal_replay_pause_state()' 2>&1) && [ "$WHY" = paused ]
}

case $1 in
  labels) backrest --output=json info | jq -r '.[0].backup[] | select(.error != true) | .label' ;;
  rows)
    time=$2
    shift 2
    printf -v runs "'%s'," "$@"
    remove
    trap remove EXIT
    restore "$time"
    start
    LIMIT=$((NOW + 60000))
    wait_for reached >&2
    there "$DATABASE" "SELECT run, number, extract(epoch FROM written_at) FROM lab_rows WHERE run IN (${runs%,}) ORDER BY 1, 2"
    ;;
esac
