# What only ec2-streaming does: a member asks the others who writes, and copies its data.
ask() { # ADDRESS SQL [DATABASE]
  as_postgres timeout "${ASK_SECONDS:-5}" psql -XAtqwF ' ' -c "$2" \
    -d "user=understudy dbname=${3:-postgres} connect_timeout=2 $TLS hostaddr=$1 port=$PORT"
}
# Sets SEEN, a line a peer: "ADDRESS t|f INSTANCE-ID" or "ADDRESS psql: error...".
survey() {
  SEEN=$(for peer in $PEERS; do
    echo "$peer $(ask "$peer" "SELECT pg_is_in_recovery(), current_setting('understudy.instance_id', true)" 2>&1 | head -n 1)" &
  done | sort)
}
# Sets SOURCE: the address of WRITER, out of recovery.
find_writer() {
  survey
  WHY="the writer $WRITER does not answer: $SEEN"
  SOURCE=$(awk -v id="$WRITER" '$2 == "f" && $3 == id {print $1}' <<<"$SEEN")
  [ -n "$SOURCE" ]
}
# A new slot on the writer. An old one keeps WAL for nothing, or has lost some; it may be in use for the 5 s
# (wal_sender_timeout) after a standby went.
new_slot() {
  local left
  for ((left = 7; left > 0; left--)); do
    WHY="no slot on $SOURCE: $(ask "$SOURCE" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
      WHERE slot_name = '$MEMBER' AND NOT active; SELECT pg_create_physical_replication_slot('$MEMBER', true)" 2>&1)" && return
    sleep 1
  done
  return 1
}
# Makes DIRECTORY a standby's of SOURCE, for good.
follow() { # DIRECTORY
  WHY="$1 cannot be written"
  as_postgres sed -i -E '/^(primary_|synchronous_standby_names)/d' "$1/postgresql.auto.conf" &&
    printf "%s = '%s'\n" primary_conninfo "$REPLICATION hostaddr=$SOURCE port=$PORT" primary_slot_name "$MEMBER" |
    as_postgres tee -a "$1/postgresql.auto.conf" >/dev/null &&
    as_postgres touch "$1/standby.signal" && sync "$1" "$1/"{standby.signal,postgresql.auto.conf}
}
# Sets WAL: where the log of a new data directory shall be, if it has a volume of its own. What no data directory
# refers to any more goes.
new_wal() {
  local old data used
  WAL=''
  [ -n "$WAL_DIR" ] || return 0
  for old in "$WAL_DIR"/wal-*; do
    used=''
    for data in "$VAR"/data*; do
      if [[ $data/pg_wal -ef $old ]]; then used=yes; fi
    done
    [ -n "$used" ] || as_postgres rm -rf "$old"
  done
  WAL=$WAL_DIR/wal-$(date -u +%Y%m%dT%H%M%S)-$BASHPID
}
# Makes data.new a standby of WRITER. The caller holds the lock (see start.sh).
copy() {
  local old=$WRITER new=$DATA.new
  find_writer && new_slot || return
  log "copying the data of $old ($SOURCE)"
  WHY="the copy from $SOURCE failed"
  # Under another name: a copy in progress is no synchronous standby.
  as_postgres rm -rf "$new" && new_wal && as_postgres pg_basebackup -wc fast -S "$MEMBER" -D "$new" ${WAL:+"--waldir=$WAL"} \
    -d "$REPLICATION hostaddr=$SOURCE port=$PORT application_name=copy" && read_state || return
  WHY="the writer moved to $WRITER during the copy"
  [ "$WRITER" = "$old" ] && follow "$new"
}
