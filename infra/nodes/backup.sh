# Backups by pgBackRest, and what the scripts around them share: archive.sh (each WAL segment), backup-run.sh (full,
# diff), backup-report.sh (how old all is), dump-run.sh, verify.sh, restore.sh. Only functions and constants.
#
# Every member has the configuration and the timers; only the one out of recovery makes backups. Nothing is encrypted
# here (no repo1-cipher-type): the bucket does that with its own key, and TLS carries it there.
BACKUPS=$VAR/backup                   # status.json, info.json, locks: kept across starts
CONFIG=$ROOT/etc/pgbackrest.conf      # the repository that this host writes
COPY=$ROOT/etc/pgbackrest-copy.conf   # one that it only reads: the DR standby's, of the other Region
METRICS=$ROOT/var/lib/prometheus/node-exporter
RESTORE_COMMAND="ROOT=$ROOT exec /bin/bash $ROOT/opt/understudy/archive.sh get \"%f\" \"%p\""

sql() { # SQL [DATABASE]: here, as superuser
  as_postgres timeout "${ASK_SECONDS:-10}" psql -XAtqwF ' ' -v ON_ERROR_STOP=1 \
    -h "$VAR" -p "$PORT" -U postgres -d "${2:-postgres}" -c "$1"
}
# Its log has every detail; the console only what failed.
backrest() { as_postgres pgbackrest --config="$CONFIG" --stanza="$BACKUP_STANZA" --log-level-console=error "$@"; }

# Whether PostgreSQL here is out of recovery; sets WHY.
writes() {
  local recovery
  WHY="PostgreSQL does not answer here: $(sql 'SELECT 1' 2>&1 | head -n 1)"
  recovery=$(sql 'SELECT pg_is_in_recovery()' 2>/dev/null) || return
  WHY='this member is a standby; the writer makes the backups'
  [ "$recovery" = f ]
}

# Sets ANSWER to what the repository holds, and CODE: 0 backups, 2 none yet, 1 and 3 no stanza, others: no answer.
ask_repository() {
  ANSWER=$(backrest --output=json info 2>&1) && CODE=$(jq -er '.[0].status.code' <<<"$ANSWER") && return
  WHY="the repository does not answer: $ANSWER"
  return 1
}
# The same, and makes the stanza where there is none. Not over and over: it takes the lock of archive-push, which may
# hold it for a moment.
need_stanza() {
  local left
  ask_repository || return
  for ((left = 10; left > 0 && (CODE == 1 || CODE == 3); left--)); do
    WHY="no stanza: $(backrest stanza-create 2>&1)" || { sleep 1; continue; }
    log "made the stanza $BACKUP_STANZA"
    ask_repository || return
  done
  ((CODE == 0 || CODE == 2)) && return
  ((CODE == 1 || CODE == 3)) ||
    WHY="the repository says $CODE: $(jq -c '[.[0].status.message, (.[0].repo[]?.status.message)]' <<<"$ANSWER")"
  return 1
}
# Leaves ANSWER for the next report.
note_answer() {
  as_postgres tee "$BACKUPS/info.new" >/dev/null <<<"$ANSWER" && as_postgres mv "$BACKUPS/info.new" "$BACKUPS/info.json"
}

# What a restore leaves in postgresql.auto.conf: one day this member is a standby, and would stop at the old target.
tidy() {
  local name
  while read -r name; do
    sql "ALTER SYSTEM RESET $name" || return
    log "reset $name, from a restore"
  done < <(sql "SELECT DISTINCT name FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf'
    AND (name LIKE 'recovery\_target%' OR name = 'restore_command')")
}

# Lines of pgbackrest.conf that say where a repository is.
repository() { # NUMBER PATH
  case ${BACKUP_REPOSITORY:-s3} in
    local) printf 'repo%s-%s\n' "$1" type=posix "$1" "path=$2" ;;
    *) printf "repo$1-%s\n" type=s3 "path=$2" "s3-bucket=$BACKUP_BUCKET" "s3-region=$BACKUP_REGION" \
      "s3-endpoint=s3.$BACKUP_REGION.amazonaws.com" s3-key-type=auto storage-verify-tls=y ;;
  esac
}
# What all commands share. start-fast: a backup does not wait for a checkpoint (5 minutes by default); stop-auto: one
# that was cut short does not hinder the next; delta: only what differs is copied.
backup_settings() { # PATHS-NAME
  cat <<END
process-max=$BACKUP_PROCESS_MAX
compress-type=lz4
compress-level=$BACKUP_COMPRESS_LEVEL
start-fast=y
stop-auto=y
delta=y
archive-async=y
spool-path=$ROOT/var/lib/pgbackrest/$1
lock-path=$ROOT/var/lib/pgbackrest/$1.lock
log-path=$ROOT/var/log/pgbackrest
log-level-file=detail

[$BACKUP_STANZA]
pg1-path=$DATA
pg1-port=$PORT
pg1-socket-path=$VAR
pg1-user=postgres
END
}
backup_folders() { # PATHS-NAME
  install -d -m 750 -o "$OWNER" "$ROOT/var/lib/pgbackrest" "$ROOT/var/log/pgbackrest" \
    "$ROOT/var/lib/pgbackrest/$1" "$ROOT/var/lib/pgbackrest/$1.lock"
  install -d -m 700 -o "$OWNER" "$BACKUPS"
  mkdir -p "$METRICS"
  if [ "${BACKUP_REPOSITORY:-s3}" = local ]; then install -d -m 750 -o "$OWNER" "$BACKUP_PATH"; fi
}

# A timer whose calendar is the spec's.
schedule() { # TIMER CALENDAR
  local dir=$ROOT/etc/systemd/system/$1.d
  if [ -z "$ROOT" ]; then systemd-analyze calendar "$2 UTC" >/dev/null || die "no calendar of systemd: $2"; fi
  mkdir -p "$dir"
  place "$dir/schedule.conf" 644 root < <(printf '[Timer]\nOnCalendar=%s UTC\n' "$2")
}
backup_timers() {
  local timer
  schedule understudy-backup-full.timer "$BACKUP_FULL_AT"
  schedule understudy-backup-diff.timer "$BACKUP_DIFF_AT"
  enable understudy-backup-full.timer understudy-backup-diff.timer understudy-backup-report.timer
  for timer in understudy-backup-{full,diff}.timer; do
    if [ -z "$ROOT" ] && changed "/etc/systemd/system/$timer.d/schedule.conf"; then systemctl try-restart "$timer"; fi
  done
}

# 2.45: the first that Debian has, and the IMDSv2 that key-type=auto needs here is in it.
backup_program() {
  local version
  install_packages pgbackrest
  version=$(pgbackrest version) || die 'pgBackRest does not run'
  [ "$(printf '%s\n' 2.45 "${version##* }" | sort -V | head -n 1)" = 2.45 ] || die "$version is too old; 2.45 is needed"
}

setup_backup() {
  [ -n "${BACKUP_STANZA:-}" ] || return 0
  backup_program
  backup_folders own
  place "$CONFIG" 644 root < <(
    echo '[global]'
    repository 1 "$BACKUP_PATH"
    printf 'repo1-retention-%s\n' "full=$BACKUP_RETENTION_FULL" "diff=$BACKUP_RETENTION_DIFF"
    backup_settings own
  )
  backup_timers
  if [ "${BACKUP_DUMP_DAYS:-0}" != 0 ]; then enable understudy-dump.timer; fi
}
