# What promote-replica.sh promises, for the day when no function runs: WRITER is the writer, two others stream.
# shellcheck shell=bash

typed() { # MEMBER WORDS: what a person types on that host; RESULT is the last line that it says
  setsid env ROOT="$(root "$1")" IMDS="http://127.0.0.1:$IMDS_PORT/i-$1" \
    bash "$(root "$1")/opt/understudy/promote-replica.sh" <<<"$2" >"m$1.out" 2>&1 || :
  cat "m$1.out" >>"m$1.log"
  RESULT=$(tail -n 1 "m$1.out")
}
last_word() { echo "${RESULT##*: failed: }"; }

by_hand() { # MEMBER OTHER
  local new=$1 other=$2 old=$WRITER epoch
  epoch=$(state .epoch.N)
  typed "$new" "promote-orders_$new"
  is 'not while the writer lives' 1 "$(grep -c 'failed: a member is out of recovery; stop it first: '"$(address "$old")" <<<"$RESULT")"
  end_guard "$old"
  stop_host "$old"
  typed "$new" yes
  is 'not without the word' '"yes" was typed, not promote-orders_'"$new"': nothing is changed' "$(last_word)"
  set_state phase changing
  typed "$new" "promote-orders_$new"
  is 'not during a change' 'the phase is changing: a change of writer is under way, and the functions will finish it' "$(last_word)"
  set_state phase steady
  is 'nothing has changed' "$epoch i-$old t t" "$(state '[.epoch.N, .writer.S] | join(" ")') $(for n in $new $other; do operator "$n" 'SELECT pg_is_in_recovery()'; done | xargs)"
  typed "$new" "promote-orders_$new"
  is 'promoted by hand' "$((epoch + 1)) i-$new f t" "$(state '[.epoch.N, .writer.S] | join(" ")') $(for n in $new $other; do operator "$n" 'SELECT pg_is_in_recovery()'; done | xargs)"
  until_is 10 'the other one follows' "orders_$other async" streaming "$new"
  application "$new" 'INSERT INTO rows VALUES (2000)'
  until_is 5 'a row arrives' 1 sql "$other" 'SELECT count(*) FROM rows WHERE id = 2000' orders
  mark "$old"
  supervise "$old"
  until_is 10 'the old writer does not start' 1 said "$old" "not starting: the state names i-$new as writer, not i-$old"
  rejoin "$old"
  until_is 10 'and is made a standby' 2 sql "$new" "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
  WRITER=$new
}
