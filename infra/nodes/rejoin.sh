#!/bin/bash
# Makes this member, whose place as writer another has taken, a standby of that one (I13): saves what only its
# own timeline has, rewinds its data, or copies the writer's, and waits until it streams. Run as root by SSM
# Run Command; cut short anywhere, run it again. The last line of stdout is the report:
# {"outcome","diverged","loss","saved","seconds"}; of stderr, on failure, the reason.
#
# $JOB has what the next run must know: report.json (what was saved), keep (not all was: the old data stays),
# rewinding (the data is half rewound), outcome (which rung of the ladder the data is from).
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/streaming.sh"
exec 3>&2
die() { echo "${*//$'\n'/; }" >&2; exit 1; }
trap 'die "line $LINENO: $BASH_COMMAND"' ERR
BEGAN=$NOW STUCK=${STUCK_SECONDS:-30} LOG=$DATA/pg_wal LOST=$VAR/lost STAMP=$(date -u +%Y%m%dT%H%M%SZ)

# --- the fork, and what is beyond it on this side -----------------------------------------------

number() { echo $((16#${1%/*} * 4294967296 + 16#${1#*/})); } # of an LSN
lsn() { printf '%X/%X\n' $(($1 / 4294967296)) $(($1 % 4294967296)); }
segment() { printf '%08X%08X%08X\n' "$1" $(($2 / 4294967296)) $(($2 % 4294967296 / SIZE)); } # TIMELINE NUMBER
END=9223372036854775807 # of a timeline that goes on

# A line a timeline, oldest first: "TIMELINE END".
history() { # TIMELINE <HISTORY-FILE
  local timeline at rest
  while read -r timeline at rest; do
    [[ $timeline =~ ^[0-9]+$ && $at == */* ]] && echo "$timeline $(number "$at")"
  done
  echo "$1 $END"
}
replication() { # COMMAND
  as_postgres timeout 10 psql -XAtqwF ' ' -c "$1" \
    -d "$REPLICATION hostaddr=$SOURCE port=$PORT replication=true application_name=rejoin"
}
# Sets FORK and PIECES: "TIMELINE FROM TO", where this member's own log goes on beyond the fork. None: it ends
# before the writer's last timeline begins. TWIN: its own last timeline bears the writer's number, or a higher one,
# but is not the writer's: each was promoted without having heard of the other. Nothing can rewind that.
find_fork() {
  local i name own=0 theirs ours=() others=() end begin=0
  WHY="the writer's timeline is not known"
  theirs=$(replication IDENTIFY_SYSTEM | cut -d ' ' -f 2) && [ -n "$theirs" ] || return
  [ "$theirs" = 1 ] && name='' || name=$(replication "TIMELINE_HISTORY $theirs") || return
  mapfile -t others < <(history "$theirs" <<<"${name#*history }")
  WHY="no log in $LOG"
  for name in "$LOG"/*; do
    name=${name##*/}
    if [[ $name =~ ^[0-9A-F]{24}$ ]] && ((16#${name::8} > own)); then own=$((16#${name::8})) SIZE=$(stat -c %s "$LOG/$name"); fi
  done
  ((own > 0)) || return
  name=$(printf '%s/%08X.history' "$LOG" $own)
  [ -e "$name" ] || name=/dev/null
  mapfile -t ours < <(history $own <"$name")
  FORK=0 PIECES=() TWIN=''
  ((own < theirs)) || TWIN=$own
  for ((i = 0; i < ${#ours[@]}; i++)); do
    end=${ours[i]#* }
    if [ "${ours[i]% *}" = "$TWIN" ] && ! ((${#PIECES[@]})); then
      FORK=$begin PIECES=("$TWIN $FORK $end")
      break
    fi
    if ((${#PIECES[@]})); then PIECES+=("${ours[i]% *} $FROM $end"); else
      WHY="the writer's log has nothing in common with this member's"
      [ "${ours[i]% *}" = "${others[i]% *}" ] || return
      [ "${ours[i]}" != "${others[i]}" ] || continue
      FORK=$((end < ${others[i]#* } ? end : ${others[i]#* }))
      PIECES=("${ours[i]% *} $FORK $end")
    fi
    FROM=$end begin=$end
  done
}

# Reads pg_waldump: "end LSN LENGTH", "commits N FIRST LAST", "rel SPACE/DATABASE/FILE CHANGES", and "made
# DATABASE/FILE" for what did not exist before. Rows of transactions that were committed, and no catalogs.
# shellcheck disable=SC2016 # these are awk's own
COUNT='
function after(what, pattern) { return match($0, what pattern) ? substr($0, RSTART + length(what), RLENGTH - length(what)) : "" }
function add(tx,  i, n, names) {
  n = split(touched[tx], names, " ")
  for (i = 1; i <= n; i++) changes[names[i]] += count[tx, names[i]]
  delete touched[tx]
}
/^rmgr: / {
  tx = after("tx: *", "[0-9]+"); sub(/^ +/, "", tx)
  lsn = after("lsn: ", "[0-9A-F]+/[0-9A-F]+")
  match($0, /\): *[0-9]+\/ *[0-9]+/); split(substr($0, RSTART + 2, RLENGTH - 2), length_of, "/")
}
/^rmgr: Heap/ && /desc: (INSERT|UPDATE|HOT_UPDATE|DELETE|MULTI_INSERT)/ {
  rel = after("blkref #0: rel ", "[0-9]+/[0-9]+/[0-9]+"); split(rel, part, "/")
  if (part[3] < 16384) next
  rows = 1
  if (/desc: MULTI_INSERT/ && match($0, /(ntuples: [0-9]+|[0-9]+ tuples)/)) { rows = substr($0, RSTART, RLENGTH); gsub(/[^0-9]/, "", rows) }
  if (!((tx, rel) in count)) touched[tx] = touched[tx] " " rel
  count[tx, rel] += rows
}
/^rmgr: Storage/ && /desc: CREATE/ { n = split(after("desc: CREATE ", "[^ ]+"), part, "/"); print "made", part[n - 1] "/" part[n] }
/^rmgr: Transaction/ && /desc: COMMIT/ {
  commits++
  last = after("desc: COMMIT[^;]*", "UTC"); match($0, /[0-9-]+ [0-9:.]+ UTC/)
  last = substr($0, RSTART, RLENGTH - 4); sub(/ /, "T", last); last = last "Z"
  if (first == "") first = last
  if (/desc: COMMIT_PREPARED/) tx = after("desc: COMMIT_PREPARED ", "[0-9]+")
  add(tx)
  n = split(after("subxacts: ", "[0-9 ]+"), part, " ")
  for (i = 1; i <= n; i++) add(part[i])
}
END {
  if (lsn != "") print "end", lsn, length_of[2] + 0
  print "commits", commits + 0, first, last
  for (rel in changes) print "rel", rel, changes[rel]
}'

# The names of the changed relations, by the file that each has on the writer; a JSON array.
tables() { # COUNTED
  local base name values out
  awk '$1 == "rel" {split($2, part, "/"); print part[2]}' "$1" | sort -u | while read -r base; do
    values=$(awk -v base="$base" '$1 == "made" {made[$2] = 1} $1 == "rel" {split($2, part, "/")
      if (part[2] == base) printf ",(%s, %s, %s, %s)", part[1], part[3], $3, ((part[2] "/" part[3]) in made) ? "true" : "false"}' "$1")
    if name=$(ask "$SOURCE" "SELECT datname FROM pg_database WHERE oid = $base") && [ -n "$name" ] &&
      out=$(ask "$SOURCE" "SELECT json_build_object('name', coalesce(nspname || '.' || relname, 'file ' || file ||
          ' of database ' || current_database()), 'changes', rows) FROM (VALUES ${values#,}) changed (space, file, rows, made)
        LEFT JOIN pg_class c ON NOT made AND c.oid = pg_filenode_relation(space, file::oid) LEFT JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IS NULL OR nspname NOT IN ('pg_catalog', 'pg_toast')" "$name"); then echo "$out"; else
      awk -v base="$base" '$1 == "rel" {split($2, part, "/"); if (part[2] == base)
        printf "{\"name\": \"file %s of database %s\", \"changes\": %s}\n", part[3], base, $3}' "$1"
    fi
  done | jq -sc 'sort_by(-.changes)'
}

# Begins each piece where the log begins that is still there. What was before is not known: the data is then
# not rewound, and stays.
present() {
  local i timeline from to name
  for i in "${!PIECES[@]}"; do
    read -r timeline from to <<<"${PIECES[i]}"
    name=$(segment "$timeline" "$from")
    [ ! -e "$LOG/$name" ] || continue
    for name in "$LOG/${name::8}"*; do
      name=${name##*/}
      if [[ $name =~ ^[0-9A-F]{24}$ && $name > $(segment "$timeline" "$from") ]]; then
        log "timeline $timeline is no longer there from $(lsn "$from") to segment $name"
        touch "$JOB/keep"
        PIECES[i]="$timeline $((16#${name:8:8} * 4294967296 + 16#${name:16} * SIZE)) $to"
        break
      fi
    done
  done
}

# Copies the log beyond the fork and tells what is in it; leaves report.json in $JOB.
save() {
  local piece timeline from to last at end new=$LOST/$STAMP.new counted
  find_fork || die "$WHY"
  mkdir -p "$LOST" "$JOB"
  rm -rf "$LOST"/*.new "$JOB"/{outcome,keep}
  present
  mkdir "$new"
  counted=$new/counted
  for piece in "${PIECES[@]}"; do
    read -r timeline from to <<<"$piece"
    # Ends with an error where the log ends, and has nothing but it where nothing is beyond the fork.
    TZ=UTC as_postgres pg_waldump -p "$LOG" -t "$timeline" -s "$(lsn "$from")" 2>>"$new/pg_waldump.err" || :
  done | awk "$COUNT" >"$counted"
  if ! read -r last at < <(sed -n 's/^end //p' "$counted"); then
    rm -rf "$new"
    echo '{"diverged":false,"loss":null,"saved":null}' >"$JOB/report.new"
  else
    end=$(($(number "$last") + (at + 7) / 8 * 8))
    for piece in "${PIECES[@]}"; do
      read -r timeline from to <<<"$piece"
      # A page more: headers within the last record.
      for ((at = from / SIZE * SIZE; at < (to < end ? to : end + 8192); at += SIZE)); do
        [ ! -e "$LOG/$(segment "$timeline" $at)" ] || cp "$LOG/$(segment "$timeline" $at)" "$new/"
      done
    done
    read -r _ at from to < <(grep '^commits ' "$counted")
    tables "$counted" >"$new/tables.json"
    jq -n --slurpfile tables "$new/tables.json" --arg from "$(lsn "$FORK")" --arg to "$(lsn "$end")" --arg first "$from" --arg last "$to" \
      "{from_lsn: \$from, to_lsn: \$to, bytes: $((end - FORK)), transactions: $at, first_at: (\$first | if . == \"\" then null else . end),
      last_at: (\$last | if . == \"\" then null else . end), tables: \$tables[0]}" >"$new/loss.json"
    rm "$new/tables.json" "$counted"
    chmod -R go= "$new" && sync "$new" "$new"/*
    mv "$new" "$LOST/$STAMP"
    jq -c --arg saved "$LOST/$STAMP" '{diverged: true, loss: (.tables |= .[:50]), $saved}' "$LOST/$STAMP/loss.json" >"$JOB/report.new"
    log "saved what only this member has in $LOST/$STAMP: $at transactions"
  fi
  mv "$JOB/report.new" "$JOB/report.json"
  sync "$JOB/report.json" "$JOB" "$LOST"
}

# --- the rungs ----------------------------------------------------------------------------------

hold_data() {
  exec 9<"$VAR"
  servers
  if ((${#SERVERS[@]})); then as_postgres pg_ctl stop -D "$DATA" -m fast -W >&2 || :; fi
  # Waited for from now: start.sh asks for it once a second, and only then.
  flock -w 120 9 || die 'PostgreSQL still runs'
}
# A rewound member has the slots of when it was writer: they would keep log for nobody.
drop_slots() { rm -rf "$DATA"/pg_replslot/*; }

rewind() {
  WHY='not all that only this member has is saved'
  [ ! -e "$JOB/keep" ] && new_slot || return
  log "rewinding to $SOURCE"
  # pg_rewind goes by the writer's last checkpoint, which may be from before its promotion.
  WHY="no checkpoint on $SOURCE: $(ASK_SECONDS=900 ask "$SOURCE" CHECKPOINT 2>&1)" || return
  touch "$JOB/rewinding" && sync "$JOB"
  rm -f "$DATA/standby.signal" # or start.sh would start what is half rewound
  WHY='pg_rewind failed'
  as_postgres pg_rewind -D "$DATA" --config-file="$CONF/understudy.conf" \
    --source-server="user=understudy dbname=postgres connect_timeout=3 $TLS hostaddr=$SOURCE port=$PORT" >&2 || return
  drop_slots && follow "$DATA" && echo rewound >"$JOB/outcome" && sync "$JOB/outcome" && rm "$JOB/rewinding" && sync "$JOB"
}
# What a timeline that ended before the fork needs.
turn() {
  new_slot && drop_slots && follow "$DATA" && echo rewound >"$JOB/outcome"
}
in_place() { # of data that data.new, complete, takes the place of
  local kind=old
  [ ! -e "$JOB/keep" ] || kind=kept
  if [ -d "$DATA" ]; then as_postgres mv "$DATA" "$DATA.$kind-$STAMP"; fi
  mkdir -p "$JOB" && echo rebuilt >"$JOB/outcome" && rm -f "$JOB/rewinding" && sync "$JOB/outcome" "$JOB"
  as_postgres mv "$DATA.new" "$DATA" && sync "$VAR"
}
rebuild() {
  local wanted left
  log "$WHY; copying all data"
  if ! read_state || ! find_writer; then die "$WHY"; fi
  wanted=$(ask "$SOURCE" 'SELECT ceil(sum(pg_database_size(oid)) / 1024) FROM pg_database')
  as_postgres rm -rf "$DATA.new"
  left=$(df -k --output=avail "$VAR" | tail -n 1)
  ((wanted < left)) || die "the copy of $wanted KiB does not fit beside the old data: $left KiB are left on $VAR"
  copy || die "$WHY"
  in_place
}

streams() {
  [ "$(ask "$SOURCE" "SELECT state FROM pg_stat_replication WHERE application_name = '$MEMBER'" 2>/dev/null)" = streaming ]
}
# All that moves while a standby catches up.
progress() {
  local process
  ask "$SOURCE" "SELECT state, sent_lsn FROM pg_stat_replication WHERE application_name = '$MEMBER'" 2>&1 || :
  as_postgres timeout 5 psql -XAtqw -h "$VAR" -p "$PORT" -U postgres -d postgres -c 'SELECT pg_last_wal_replay_lsn()' 2>&1 || :
  servers
  for process in "${SERVERS[@]}"; do tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" | grep startup || :; done
}
# Waits until this member streams from the writer, for as long as anything moves.
await() {
  local seen='' before since
  exec 9<&-
  [ -n "$ROOT" ] || systemctl start understudy-postgresql
  now
  since=$NOW
  until streams; do
    before=$seen seen=$(progress)
    now
    if [ "$seen" != "$before" ]; then since=$NOW; fi
    WHY="this member does not stream from $SOURCE, and nothing has moved for $STUCK s"
    ((NOW - since < STUCK * 1000)) || return
    sleep 0.3
  done
}

report() {
  local outcome=already-standby report='{"diverged":false,"loss":null,"saved":null}'
  [ ! -e "$JOB/outcome" ] || read -r outcome <"$JOB/outcome"
  [ ! -e "$JOB/report.json" ] || read -r report <"$JOB/report.json"
  let_go || log "$WHY"
  rm -rf "$DATA".old-* "$DATA.new"
  new_wal # takes the old ones' logs away
  now
  jq -c --arg outcome "$outcome" '{outcome: $outcome} + . + {seconds: '$(((NOW - BEGAN + 999) / 1000))'}' <<<"$report"
  rm -rf "$JOB"
  exit
}

exec 8>>"$VAR/rejoin.lock" # for all that is started here, too
flock -n 8 || die 'another rejoin.sh runs, or what it started'
read_state || die "$WHY"
[ "$PHASE" = steady ] || die "the phase is $PHASE: a change of writer is under way"
[ "$WRITER" != "$ID" ] || die 'the state names this member as writer'
if writes_here; then die 'PostgreSQL runs here out of recovery'; fi
find_writer || die "$WHY"
if [ -e "$DATA/standby.signal" ] && await; then report; fi

hold_data
if [ ! -d "$DATA" ] && [ -e "$DATA.new/standby.signal" ]; then
  in_place # cut short between two names
elif [ ! -d "$DATA" ] || [ -e "$JOB/rewinding" ]; then
  WHY='the data is not whole'
  rebuild
else
  save
  if [ -n "$TWIN" ]; then
    WHY="this member's timeline $TWIN and the writer's are two of one number"
    rebuild
  elif ! grep -q '"diverged":true' "$JOB/report.json"; then turn || die "$WHY"; else rewind || rebuild; fi
fi
if ! await; then
  hold_data
  rebuild
  await || die "$WHY"
fi
report
