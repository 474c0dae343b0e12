# What rejoin.sh promises: an old writer becomes a standby, and what only it had is told.
# shellcheck shell=bash

# Rows that no standby gets: 4 transactions, one given up, a table that only this timeline has.
only_here() { # MEMBER, whose standbys are frozen; none of its commits is acknowledged
  local n
  application "$1" "BEGIN; INSERT INTO rows VALUES (1001); SAVEPOINT s; INSERT INTO rows VALUES (1002), (1003); RELEASE s; COMMIT" >/dev/null 2>&1 &
  application "$1" "INSERT INTO rows SELECT generate_series(1010, 1019)" >/dev/null 2>&1 &
  application "$1" "CREATE TABLE late (id int)" >/dev/null 2>&1 &
  application "$1" "BEGIN; DELETE FROM rows WHERE id = 1; INSERT INTO rows VALUES (1030); ROLLBACK" >/dev/null 2>&1
  application "$1" "UPDATE rows SET id = 1040 WHERE id = 1" >/dev/null 2>&1 &
  for n in 1 2 3 4 5; do sleep 0.2; done
}
freeze() { # MEMBER...
  local n
  for n in "$@"; do
    operator "$n" "ALTER SYSTEM SET primary_conninfo = ''" && operator "$n" 'SELECT pg_reload_conf()' >/dev/null
    until_is 5 "member $n is frozen" 0 operator "$n" 'SELECT count(*) FROM pg_stat_wal_receiver'
  done
}
point() { # MEMBER WRITER
  local conninfo
  conninfo=$(operator "$1" "SELECT current_setting('understudy.replication_conninfo')")
  operator "$1" "ALTER SYSTEM SET primary_conninfo = '$conninfo hostaddr=$(address "$2") port=5432'" && operator "$1" 'SELECT pg_reload_conf()' >/dev/null
}
replace() { # FROM TO OTHER failover|switchover [THEN]: a change of writer, as a pass makes it
  if [ "$4" = failover ]; then
    freeze "$2" "$3"
    only_here "$1"
  fi
  ${5:-:} "$1"
  begin_change "$4" "$1"
  until_is 10 "member $1 holds" "yes $(state .epoch.N)" eval "held $1 | cut -d ' ' -f 1,2"
  is "member $2 is promoted" t "$(operator "$2" 'SELECT pg_promote()')"
  operator "$2" "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (orders_$1,orders_$3)'" && operator "$2" 'SELECT pg_reload_conf()' >/dev/null
  operator "$2" "SELECT pg_create_physical_replication_slot('orders_$3', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'orders_$3')" >/dev/null
  point "$3" "$2"
  end_change "$2"
  until_is 10 "member $3 follows" "orders_$3 quorum" streaming "$2"
}
rejoin() { # MEMBER: RESULT is what it prints
  local status=0 began
  began=$(milliseconds)
  setsid env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" STUCK_SECONDS=8 \
    bash "$(root "$1")/opt/understudy/rejoin.sh" 2>>"m$1.log" >"m$1.out" </dev/null || status=$?
  RESULT=$(tail -n 1 "m$1.out")
  [ "$status" = 0 ] || RESULT="$status $(tail -n 1 "m$1.log")"
  echo "   $(($(milliseconds) - began)) ms: $RESULT"
}
result() { jq -r "$1" <<<"$RESULT"; } # jq filter
# PostgreSQL's programs, those that mark a stage slowed down: on a small database a stage would be over unseen.
slow_programs() {
  local program
  [ ! -d slow ] || return 0
  mkdir slow
  ln -s "$BIN"/* slow/
  for program in pg_waldump pg_rewind pg_basebackup; do
    rm "slow/$program"
    # shellcheck disable=SC2016 # for the script that is written
    printf '#!/bin/bash\n"%s" "$@"\nstatus=$?\nsleep 0.7\nexit $status\n' "$BIN/$program" >"slow/$program"
    chmod 755 "slow/$program"
  done
}
cut_rejoin() { # MEMBER WHAT CONDITION...: kills it, and what it started, as soon as the condition holds
  local member=$1 what=$2 pid
  shift 2
  slow_programs
  background "m$member.log" env ROOT="$(root "$member")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$member" \
    POSTGRESQL_BIN="$WORK/slow" \
    bash "$(root "$member")/opt/understudy/rejoin.sh"
  pid=$!
  until "$@"; do kill -0 $pid 2>/dev/null || break; done
  is "cut: $what" yes "$(kill -9 -- -$pid 2>/dev/null && echo yes)"
  wait $pid 2>/dev/null || true
}
some() { compgen -G "$1" >/dev/null; } # PATTERN
LOSS='[.outcome, .diverged, .loss.transactions, (.loss.tables | map("\(.name) \(.changes)") | join(", "))] | join(" ")'
# The table that was made there has no row; 3 + 10 inserted, 1 updated.
EXPECTED='true 4 public.rows 14'

rejoins() {
  local var1 saved
  var1=$(root 1)/var/lib/understudy
  set_state phase changing
  rejoin 1
  is 'not during a change' '1 the phase is changing: a change of writer is under way' "$RESULT"
  set_state phase steady
  rejoin 2
  is 'not the writer' '1 the state names this member as writer' "$RESULT"
  set_state writer i-3
  rejoin 2
  is 'not who is out of recovery' '1 PostgreSQL runs here out of recovery' "$RESULT"
  rejoin 1
  is 'not to who is no writer' 1 "$(grep -c '^1 the writer i-3 does not answer:' <<<"$RESULT")"
  set_state writer i-2
  for n in 1 2 3; do guard $n; done

  rejoin 1
  is 'rewound, and what is lost' "rewound $EXPECTED" "$(result "$LOSS")"
  is 'its time' 'true true' "$(result '[.loss.first_at, .loss.last_at] | map(test("^2[0-9-]+T[0-9:.]+Z$")) | join(" ")')"
  is 'its bytes' true "$(result '.loss.bytes > 500 and .loss.bytes < 16777216')"
  saved=$(result .saved)
  is 'its log is kept' "$(result .loss.bytes)" "$(jq .bytes "$saved/loss.json")"
  is 'and has the rows' 4 "$("$BIN/pg_waldump" -p "$saved" -s "$(result .loss.from_lsn)" 2>/dev/null | grep -c 'desc: COMMIT' || true)"
  until_is 10 'the old writer is a standby' 'orders_1 async, orders_3 quorum' streaming 2
  is 'without the lost rows' '0' "$(sql 1 'SELECT count(*) FROM rows WHERE id > 1000' orders)"
  is 'and without old slots' 0 "$(sql 1 'SELECT count(*) FROM pg_replication_slots')"
  is 'it claims nothing any more' no "$(held 1 | cut -d ' ' -f 1)"
  rejoin 1
  is 'again: nothing to do' 'already-standby false null null' "$(result '[.outcome, .diverged, .loss, .saved] | map(tostring) | join(" ")')"

  replace 2 1 3 switchover
  rejoin 2
  is 'after a switchover, no loss' 'rewound false null null' "$(result '[.outcome, .diverged, .loss, .saved] | map(tostring) | join(" ")')"
  until_is 10 'it streams' 'orders_2 quorum, orders_3 quorum' streaming 1

  replace 1 2 3 failover
  dd if=/dev/zero of="$var1/data/global/pg_control" bs=8192 count=1 conv=notrunc status=none
  rejoin 1
  is 'what cannot be rewound is rebuilt' "rebuilt $EXPECTED" "$(result "$LOSS")"
  until_is 10 'it streams' 'orders_1 quorum, orders_3 quorum' streaming 2
  is 'and the old data is gone' '' "$(find "$var1" -maxdepth 1 -name 'data?*')"
  cuts
  gap
}

cuts() {
  local var
  var=$(root 2)/var/lib/understudy
  replace 2 1 3 failover
  cut_rejoin 2 'while it saves' some "$var/lost/*.new"
  cut_rejoin 2 'when it has saved' test -e "$var/rejoin/report.json"
  cut_rejoin 2 'while it rewinds' test -e "$var/rejoin/rewinding"
  is 'half rewound: it does not start' 0 "$(alive 2)"
  cut_rejoin 2 'while it copies' test -e "$var/data.new/base"
  cut_rejoin 2 'when it has copied' some "$var/data.old-*"
  rejoin 2
  is 'cut five times, then done' "rebuilt $EXPECTED" "$(result "$LOSS")"
  until_is 10 'it streams' 'orders_2 quorum, orders_3 quorum' streaming 1
  is 'nothing is left of it' '' "$(find "$var" -maxdepth 1 -name 'data?*' -o -maxdepth 1 -name rejoin)"

  # Between two names: the copy is whole, and no data directory is there.
  stop_host 2
  mv "$var/data" "$var/data.new"
  supervise 2
  rejoin 2
  is 'a copy that only lacks its name' 'rebuilt false' "$(result '[.outcome, .diverged] | join(" ")')"
  until_is 10 'it streams' 'orders_2 quorum, orders_3 quorum' streaming 1
}

further() { # in the next segment
  sql "$1" 'SELECT pg_switch_wal()' >/dev/null
  application "$1" 'INSERT INTO rows VALUES (1050)' >/dev/null 2>&1 &
  sleep 0.3
}
# The log right after the fork is gone: the rest is told, and the old data stays.
gap() {
  local data
  data=$(root 1)/var/lib/understudy/data
  replace 1 2 3 failover further
  rm "$data/pg_wal/$(basename "$(find "$data/pg_wal/" -type f -name '0*[0-9A-F]' | sort | tail -n 2 | head -n 1)")"
  rejoin 1
  is 'a gap in the log: rebuilt, and told of the rest' 'rebuilt true 1 public.rows 1' "$(result "$LOSS")"
  until_is 10 'it streams' 'orders_1 quorum, orders_3 quorum' streaming 2
  is 'and the old data stays' 1 "$(find "${data%/*}" -maxdepth 1 -name 'data.kept-*' | wc -l)"
  twin
}

# Two members are promoted that had not heard of each other: two histories of one timeline number, which pg_rewind
# would take for one.
twin() {
  freeze 1 3
  is 'member 1 is promoted behind all backs' t "$(operator 1 'SELECT pg_promote()')"
  application 1 'INSERT INTO rows VALUES (1060)' >/dev/null 2>&1 &
  until_is 10 'its guard stops it' "yes $(state .epoch.N)" eval "held 1 | cut -d ' ' -f 1,2"
  begin_change switchover 2
  until_is 10 'member 2 holds' "yes $(state .epoch.N)" eval "held 2 | cut -d ' ' -f 1,2"
  is 'member 3 is promoted' t "$(operator 3 'SELECT pg_promote()')"
  operator 3 "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (orders_1,orders_2)'" && operator 3 'SELECT pg_reload_conf()' >/dev/null
  end_change 3
  rejoin 1
  is 'a twin is rebuilt' 'rebuilt true 1 public.rows 1' "$(result "$LOSS")"
  until_is 10 'it streams' 'orders_1 quorum' streaming 3
  is 'and its row is gone' 0 "$(application 1 'SELECT count(*) FROM rows WHERE id = 1060')"
  rejoin 2
  # It wrote the record of its shutdown, which the frozen member 3 lacks.
  is 'the writer before is none' 'rewound 0' "$(result '[.outcome, .loss.transactions] | join(" ")')"
  WRITER=3
}
