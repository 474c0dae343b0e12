#!/bin/bash
# Point-in-time recovery, in place, on the member that shall be the writer:
#
#   restore.sh [--time 2026-11-21T17:04:05Z] [--timeline latest|current|NUMBER] [--set LABEL] [--yes]
#
# --time: ISO 8601 with a zone, the last moment that is kept; without it, all that the archive has. --timeline: which
# history is followed where several have that time (after a failover: "latest" goes over the switch; a number stays on
# that one). It is promoted there, onto a timeline of its own; what came later is gone from the members, but not from
# the archive: an earlier restore can be done over by another one.
#
# Asks for YES, unless --yes. Refuses while PostgreSQL runs here, or another member is out of recovery. Cut short
# anywhere, run it again with the same words: files that are right already are not copied anew, and PostgreSQL does
# not start on half a restore, since pgBackRest writes pg_control last.
. "${BASH_SOURCE%/*}/lib.sh"
. "${BASH_SOURCE%/*}/backup.sh"
if [ "$TOPOLOGY" = ec2-patroni ] && [ "$ROLE" = member ]; then . "${BASH_SOURCE%/*}/restore-patroni.sh"; fi
STUCK=${STUCK_SECONDS:-60} SERVICE=understudy-postgresql
[ "$ROLE" != dr ] || SERVICE=understudy-dr

usage() { die "$1; restore.sh [--time ISO-8601-WITH-ZONE] [--timeline latest|current|NUMBER] [--set LABEL] [--yes]"; }
arguments() {
  TIME='' TIMELINE=latest SET='' YES=''
  while (($#)); do
    case $1 in
      --time | --timeline | --set) (($# > 1)) || usage "$1 what?" ;;&
      --time) TIME=$2 && shift ;;
      --timeline) TIMELINE=$2 && shift ;;
      --set) SET=$2 && shift ;;
      --yes) YES=YES ;;
      *) usage "not known: $1" ;;
    esac
    shift
  done
  [[ $TIMELINE =~ ^(latest|current|[1-9][0-9]*)$ ]] || usage "no timeline: $TIMELINE"
  [[ $SET =~ ^([0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?)?$ ]] || usage "no label of a backup: $SET"
  [ -z "$TIME" ] || target_time
}
# Sets TARGET, as PostgreSQL reads it, and AT, in seconds.
target_time() {
  local day='[0-9]{4}-[0-9]{2}-[0-9]{2}' clock='[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?'
  [[ $TIME =~ ^${day}[T\ ]${clock}(Z|[+-][0-9]{2}(:?[0-9]{2})?)$ ]] ||
    usage "no time with a zone: $TIME"
  TARGET=$(date -u -d "$TIME" '+%F %T.%6N+00' 2>/dev/null) || usage "no time: $TIME"
  AT=$(date -u -d "$TIME" +%s)
  ((AT <= $(date +%s))) || die "$TIME is not yet"
}

# Of several repositories, the first that has a backup from before the time, and not from a later timeline. Sets CONFIG
# and LABEL.
choose() {
  local config info line=FFFFFFFF
  if [[ $TIMELINE =~ ^[0-9]+$ ]]; then line=$(printf '%08X' "$TIMELINE"); fi
  for config in "$CONFIG" "$COPY"; do
    [ -e "$config" ] || continue
    info=$(CONFIG=$config backrest --output=json info 2>&1) || { log "$info"; continue; }
    LABEL=$(jq -r --argjson at "${AT:-null}" --arg set "$SET" --arg line "$line" '[.[0].backup // [] | .[]
      | select(.error != true and .archive.start[:8] <= $line) | select($at == null or .timestamp.stop <= $at)
      | select($set == "" or .label == $set)][-1].label // empty' <<<"$info")
    if [ -n "$LABEL" ]; then
      CONFIG=$config
      return
    fi
  done
  WHY="no backup ${SET:+$SET }${TIME:+that ended before $TIME }of timeline $TIMELINE or an earlier one"
  die "$WHY in the repository"
}

# Each other member: whether it is out of recovery. What does not answer does not hinder, but is named.
others() {
  local peer said
  SILENT=''
  for peer in $PEERS; do
    said=$(as_postgres timeout 5 psql -XAtqw -c 'SELECT pg_is_in_recovery()' \
      -d "user=understudy dbname=postgres connect_timeout=2 $TLS hostaddr=$peer port=$PORT" 2>&1 | head -n 1) || :
    [ "$said" != f ] || die "$peer is out of recovery: two writers; stop it first"
    [ "$said" = t ] || SILENT+=" $peer"
  done
}
# Where the state table says who writes, the boot guard starts no other.
named_writer() {
  if [ "$TOPOLOGY" != ec2-streaming ] || [ -z "${STATE_TABLE:-}" ]; then return; fi
  read_state || die "$WHY"
  [ "$WRITER" = "$ID" ] || die "the state names $WRITER as writer, not $ID: restore there, or switch over first"
}
stopped() {
  servers
  ((${#SERVERS[@]} == 0)) || die "PostgreSQL runs here: pause Understudy for this cluster, then systemctl stop $SERVICE"
}

confirm() {
  local word
  log "restores $LABEL into $DATA${TIME:+, up to $TIME}, timeline $TIMELINE; then promotes"
  [ -z "$SILENT" ] || log "silent:$SILENT"
  if [ -z "$YES" ]; then
    echo 'What is later than that will be gone from this cluster. Type YES to go on.' >&2
    read -r YES || :
  fi
  [ "$YES" = YES ] || die 'not confirmed; nothing was done'
}

# Runs pgBackRest over the data that is there. The write-ahead log may be on a volume of its own.
restore() {
  local how=(--type=default) link=''
  if [ -n "$TIME" ]; then how=(--type=time "--target=$TARGET" --target-action=promote); fi
  how+=("--target-timeline=$TIMELINE" "--set=$LABEL")
  if [ -L "$DATA/pg_wal" ]; then link=$(readlink "$DATA/pg_wal"); elif [ -n "$WAL_DIR" ]; then link=$WAL_DIR/wal; fi
  if [ -n "$link" ]; then
    as_postgres mkdir -p "$link"
    how+=("--link-map=pg_wal=$link")
  fi
  as_postgres mkdir -p -m 700 "$DATA"
  # What is here and not in the archive is kept: the last segments of the old timeline. For whoever wants them.
  keep_log
  log 'restoring'
  backrest --delta --force "${how[@]}" --recovery-option="restore_command=$RESTORE_COMMAND" restore >&2 ||
    die 'pgBackRest failed; run this again'
  log "restored $LABEL"
}
keep_log() {
  local name kept=$VAR/lost/before-restore-$STAMP
  [ -d "$DATA/pg_wal/archive_status" ] || return 0
  for name in "$DATA"/pg_wal/archive_status/*.ready; do
    name=${name##*/} name=${name%.ready}
    [ -e "$DATA/pg_wal/$name" ] || continue
    as_postgres mkdir -p "$kept"
    as_postgres cp "$DATA/pg_wal/$name" "$kept/"
  done
  # The segment that was written last is never ready.
  name=$(find "$DATA/pg_wal/" -maxdepth 1 -type f -regex '.*/[0-9A-F]+' -printf '%T@ %f\n' | sort -n | tail -n 1)
  name=${name#* }
  if [ -n "$name" ]; then as_postgres mkdir -p "$kept" && as_postgres cp "$DATA/pg_wal/$name" "$kept/"; fi
  [ ! -d "$kept" ] || log "what the archive does not have is in $kept"
}

# Waits until it is out of recovery, for as long as replay moves. A target that the archive does not reach ends the
# server each time ("recovery ended before configured recovery target was reached"): not tried for ever.
opened() {
  local seen='' before since pid last='' starts=0
  now
  since=$NOW
  until [ "$(sql 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; do
    before=$seen seen=$(sql "SELECT pg_last_wal_replay_lsn()" 2>&1 || :)$(replaying)
    now
    if [ "$seen" != "$before" ]; then since=$NOW; fi
    WHY="PostgreSQL is not out of recovery, and nothing has moved for $STUCK s: see its log"
    ((NOW - since < STUCK * 1000)) || die "$WHY"
    if read -r pid 2>/dev/null <"$DATA/postmaster.pid" && [ "$pid" != "$last" ]; then
      last=$pid starts=$((starts + 1))
    fi
    WHY="the archive ends before ${TIME:-the target} on timeline $TIMELINE: ask for an earlier time, or for none"
    ((starts < 4)) || die "$WHY"
    sleep 0.3
  done
}
replaying() { # what the process that replays says of itself
  local process
  servers
  for process in "${SERVERS[@]}"; do tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" | grep startup || :; done
}
start_streaming() {
  exec 9<&-
  [ -n "$ROOT" ] || systemctl start "$SERVICE"
}
next_streaming() {
  log 'next: resume Understudy for this cluster; rejoin-replica makes the other members standbys of this one'
}

arguments "$@"
[ -n "${BACKUP_STANZA:-}" ] || die 'this cluster has no backups'
STAMP=$(date -u +%Y%m%dT%H%M%SZ)
exec 8>>"$BACKUPS/restore.lock"
flock -n 8 || die 'another restore.sh runs'
others
named_writer
if [ "$TOPOLOGY" = ec2-streaming ] || [ "$ROLE" = dr ]; then stopped; fi
choose
confirm
if [ "$(type -t stop_patroni)" = function ]; then stop_patroni; fi
# No start.sh goes beyond this lock.
exec 9<"$VAR"
flock -w 60 9 || die 'PostgreSQL still runs'
restore
if [ "$(type -t start_patroni)" = function ]; then start_patroni; else start_streaming; fi
opened
tidy
log "open, on timeline $(sql 'SELECT timeline_id FROM pg_control_checkpoint()')"
if [ "$(type -t next_patroni)" = function ]; then next_patroni; else next_streaming; fi
# Backups of the old timeline still serve; one of the new needs no replay over the switch.
if [ -z "$ROOT" ]; then systemctl start --no-block understudy-backup-full.service; fi
