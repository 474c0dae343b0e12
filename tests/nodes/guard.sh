# What guard.sh promises, and what start.sh writes while it holds. Member 1 is the writer, 2 and 3 stream.
# shellcheck shell=bash

alive() { # MEMBER PID: whether any process of PostgreSQL is left there
  pgrep -x postgres | while read -r pid; do readlink "/proc/$pid/cwd"; done 2>/dev/null | grep -cxF "$(root "$1")/var/lib/understudy/data" || true
}
dies_within() { # MEMBER SECONDS SINCE-MS WHAT
  local took=0
  until [ "$(alive "$1")" = 0 ]; do
    took=$(($(milliseconds) - $3))
    ((took < $2 * 1000)) || break
    sleep 0.02
  done
  is "$4" 0 "$(alive "$1")"
  is 'in time' yes "$( ((took < $2 * 1000)) && echo yes || echo "$took ms")"
  echo "   after $took ms"
}
all_back() {
  until_is 15 "$1" 'orders_2 quorum, orders_3 quorum' streaming 1
}

guards() {
  local first since
  for n in 1 2 3; do guard $n; done
  first=$(postmaster 1)
  sleep 3
  is 'guards: nothing happens' "$first 0" "$(postmaster 1) $(said 1 'stopped:')"

  kill -STOP "$MINISTACK"
  sleep $((TTL + 3))
  is 'without AWS, with standbys: nothing happens' "$first 0" "$(postmaster 1) $(said 1 'stopped:')"
  since=$(milliseconds)
  stop_host 2
  stop_host 3
  dies_within 1 "$TTL" "$since" 'without either: dead within the TTL'
  until_is 2 'and says why' 1 said 1 'stopped: no contact for .* 0 processes are left'
  sleep 1
  is 'and stays down' 0 "$(alive 1)"
  kill -CONT "$MINISTACK"
  until_is 10 'with AWS it starts again' f sql 1 'SELECT pg_is_in_recovery()'
  first=$(postmaster 1)
  sleep $((TTL + 2))
  is 'with AWS, without standbys: nothing happens' "$first 1" "$(postmaster 1) $(said 1 'stopped:')"
  supervise 2
  supervise 3
  all_back 'the standbys are back'

  kill -STOP "$MINISTACK"
  kill -STOP "$first" # no new connection, no obedience; what runs goes on
  since=$(milliseconds)
  sleep 1
  end_guard 1 # the next one goes on counting
  guard 1
  dies_within 1 "$TTL" "$since" 'a postmaster that hangs, a guard killed: dead within the TTL'
  kill -CONT "$MINISTACK"
  all_back 'and all are back'
  holding
}

# The state says so: a failover is immediate, a switchover orderly; the item tells which.
holding() {
  local since
  is 'no claim while it runs' 'no item' "$(held 1)"
  since=$(milliseconds)
  begin_change failover 1
  dies_within 1 6 "$since" 'replaced: it stops'
  until_is 5 'and its guard item says so' 'yes 2 crashed 1' held 1
  end_change 1
  until_is 10 'given up: it starts' f sql 1 'SELECT pg_is_in_recovery()'
  is 'and claims nothing any more' 'no 2 crashed 1' "$(held 1)"
  all_back 'both stream'
  begin_change switchover 1
  since=$(milliseconds)
  dies_within 1 8 "$since" 'a switchover: it stops'
  until_is 5 'in order' 'yes 3 clean 1' held 1
  is 'fast, not immediate' '1 1' "$(said 1 'fast stop: the state says') $(said 1 'stopped: the state says that this writer is replaced')"
  end_change 1
  all_back 'both stream'
  since=$(milliseconds)
  end_change 2
  dies_within 1 4 "$since" 'another is the writer: it stops'
  until_is 5 'and holds in the steady phase' 'yes 3 crashed 1' held 1
  is 'a standby claims nothing' 'no item' "$(held 2)"
  end_change 1
  all_back 'both stream'
  is 'the disk is not full' no "$(dynamodb GetItem '{"TableName":"test-state","Key":{"cluster":{"S":"orders"},"item":{"S":"guard#i-1"}}}' | jq -r .Item.disk_full.S)"
  # The steps by hand that follow are not what a guard lets happen.
  for n in 1 2 3; do end_guard $n; done
}
