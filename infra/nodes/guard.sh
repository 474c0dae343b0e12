#!/bin/bash
# Stops PostgreSQL when this member may no longer write (I5, SelfFenced).
#
# Three loops look and one acts. The one that acts starts no program and reads no data from a disk: it
# counts from the last contact and kills in time, whatever became of the others. All times are in ms of a
# clock that nobody sets, and a contact counts from before its question was asked.
#
#   what is contact: the state, read, that does not say the opposite; or a standby that streams
#   no contact for TTL: PostgreSQL is dead. The stop begins TTL - STOP after the last contact; of STOP,
#   1 s is for an immediate shutdown, the rest for SIGKILL and a busy host.
#
# With a TTL of 10 s, the least there is, 8 s are left. The state is read every 2 s, and a read ends after 2 s:
# one lost, and the next answered at its limit, makes 2 + 2 + 2 + 2 s. The standbys are asked every 1 s, a question
# ends after 2.5 s, and two answers make a contact: one lost makes 1 + 2.5 + 1 + 1 s. Either of the two is enough.
. "${BASH_SOURCE%/*}/lib.sh"
TTL_MS=$((TTL * 1000)) STOP=2000 CALL_SECONDS=2
mkdir -p "$RUN"
exec {NEVER}<> <(:) # nothing is ever read from it
nap() { read -rt "$1" -u "$NEVER" || :; }

# --- the looks: each says "contact SINCE" or "stop SINCE fast|immediate WHY" --------------------

SUSPECT='' # the epoch of a change away from this member, as last read
look_at_state() {
  local at
  PAUSE=2
  now
  at=$NOW
  # Before the read: a standby that is promoted meanwhile is not stopped by what was true before.
  if ! writes_here; then
    SUSPECT=''
    echo "contact $at"
    return
  fi
  if ! identity || ! now || ! at=$NOW || ! read_state; then
    once "$WHY"
    return
  fi
  # Whoever is promoted is noted before; any other member is a writer of an earlier change.
  if [ "$PHASE" = changing ] && [ "$PROMOTING" != "$ID" ] && [ "$PROMOTED" != "$ID" ]; then
    # Twice: one stale or mistaken answer stops nothing.
    if [ "$SUSPECT" != "$EPOCH" ]; then
      SUSPECT=$EPOCH PAUSE=1
    elif [ "$FROM" != "$ID" ]; then
      echo "stop $at immediate the state says that the writer changes from $FROM, and not to this member"
    elif [ "$KIND" = switchover ]; then
      # Nobody is promoted before this member holds, so its shutdown may take as long as its checkpoint does.
      [ "$PROMOTING$PROMOTED" != -- ] || echo "contact $at"
      echo "stop $at fast the state says that the writer changes"
    else
      echo "stop $at immediate the state says that this writer is replaced"
    fi
  elif [ "$PHASE" = steady ] && [ "$WRITER" != - ] && [ "$WRITER" != "$ID" ]; then
    echo "stop $at immediate the state names $WRITER as writer"
  else
    SUSPECT=''
    once 'the state table answers'
    echo "contact $at"
  fi
}

# A standby that streams says so every second (wal_receiver_status_interval). Its row alone is no contact: it
# stays for 5 s (wal_sender_timeout) after the last word. A new time in it is one, since the look before.
HEARD='' HEARD_AT=0
look_at_standbys() {
  local at heard name time
  PAUSE=1
  now
  at=$NOW
  writes_here && heard=$(as_postgres timeout -k 0.5 2 psql -XAtqwF ' ' -h "$VAR" -p "$PORT" -U postgres -d postgres \
    -c "SELECT application_name, extract(epoch FROM reply_time) FROM pg_stat_replication
      WHERE state = 'streaming' AND application_name IN (${OTHERS//\"/\'})" 2>/dev/null) || return
  while read -r name time; do
    if [[ $HEARD == *"$name "* && $HEARD != *"$name $time"* ]]; then
      echo "contact $HEARD_AT"
      break
    fi
  done <<<"$heard"
  HEARD=$heard HEARD_AT=$at
}

# On its own: a disk that hangs must not hide a contact. Full: 1 % or 64 MiB are left.
TOLD='' TELL=0
look_at_disk() {
  local size left full=no
  PAUSE=10
  echo disk # ends the loop with the guard
  read -r size left < <(df -k --output=size,avail "$VAR" | tail -n 1)
  ((left >= 65536 && left >= size / 100)) || full=yes
  now
  [ "$full" != "$TOLD" ] || { [ "$full" = yes ] && ((NOW >= TELL)); } || return 0
  if ! identity || ! guard_item disk_full S "$full"; then
    once "$WHY"
    return
  fi
  [ "$full" = "${TOLD:-no}" ] || log "the disk is full: $full ($left of $size KiB are left)"
  TOLD=$full TELL=$((NOW + 60000))
}

repeat() { # LOOK
  while :; do
    "$1" || :
    sleep "$PAUSE"
  done
}
looks() {
  trap 'kill $(jobs -p) 2>/dev/null' EXIT
  repeat look_at_state &
  repeat look_at_standbys &
  repeat look_at_disk &
  wait -n # none ever ends
}

# --- the act ------------------------------------------------------------------------------------

# Immediate, then by SIGKILL: the postmaster and all its processes, also those that have lost it.
kill_servers() {
  local signal=QUIT until
  now
  until=$((NOW + 1000))
  while servers && ((${#SERVERS[@]})); do
    kill -s $signal "${SERVERS[@]}" 2>/dev/null || :
    nap 0.05
    now
    if ((NOW < until)); then continue; fi
    # A process that waits for a disk dies when the disk answers, before it does anything else.
    if [ $signal = KILL ]; then break; fi
    signal=KILL until=$((NOW + 500))
  done
}
stop() { # fast|immediate WHY
  local postmaster
  writes_here || return 0
  if [ "$1" = fast ]; then
    # Only the postmaster: for its children,
    # SIGINT is the end of a wait for the standbys.
    { read -r postmaster <"$DATA/postmaster.pid" && kill -s INT "$postmaster"; } 2>/dev/null || :
    once "fast stop: $2"
  else
    kill_servers
    log "stopped: $2; $((${#SERVERS[@]})) processes are left"
    STOPPED_AT=$NOW
  fi
}

heed() { # WORD SINCE MODE WHY
  case $1 in
    contact)
      (($2 > LAST)) || return 0
      LAST=$2 SAID=''
      echo "$LAST" >"$RUN/contact" || :
      ;;
    # Not what was said before the last stop.
    stop) (($2 < STOPPED_AT)) || stop "$3" "$4" ;;
  esac
}

# A guard that starts anew goes on counting, but grants the 4 s of its first looks.
now
LAST=$NOW STOPPED_AT=0
if read -r last 2>/dev/null <"$RUN/contact"; then
  least=$((NOW - TTL_MS + STOP + 4000))
  ((last <= NOW)) || last=$NOW # of a kernel before this one
  ((LAST = last > least ? last : least, LAST = LAST < NOW ? LAST : NOW))
fi
log "guard: PostgreSQL ends $((TTL_MS / 1000)) s after the last contact"
while :; do
  exec {WORDS}< <(looks)
  while :; do
    now
    left=$((LAST + TTL_MS - STOP - NOW)) status=0
    if ((left <= 0)); then
      stop immediate "no contact for $((NOW - LAST)) ms, neither with the state table nor with a standby"
      # Nothing that writes is left, or else it is tried again.
      if writes_here; then nap 0.2; else now && LAST=$NOW; fi
      continue
    fi
    printf -v left '%d.%03d' $((left / 1000)) $((left % 1000))
    read -rt "$left" -u "$WORDS" word since mode why || status=$?
    if ((status > 128)); then continue; fi # timed out
    if ((status > 0)); then break; fi # nobody writes to it any more
    heed "$word" "${since:-0}" "$mode" "$why"
  done
  exec {WORDS}<&-
  log 'the looks have ended; they begin again'
  nap 0.5
done
