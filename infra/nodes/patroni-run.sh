#!/bin/bash
# Every start of Patroni. Only a member of a cluster that was never made may make its database.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/patroni.sh"

# Sets FILE. Without data, the state table says whether the cluster was made once (item patroni, by
# patroni-create.sh): etcd may have lost that, and then an empty member would be the first to lead.
choose() {
  FILE=$CONF/patroni.yml
  WHY='not set up yet'
  [ -s "$CONF/patroni.yml" ] || return
  WHY='repair.sh moves the data'
  (exec 8>>"$VAR/repair.hold" && flock -n 8) || return
  if [ -e "$DATA/PG_VERSION" ]; then return 0; fi
  identity || return
  WHY="the state table does not answer: $(
    dynamodb GetItem 2>&1 <<<"{$(key patroni),\"ConsistentRead\":true}"
  )" || return
  case $(jq -r '.Item.at.S // "never"' <<<"${WHY#*: }") in
    never) FILE=$CONF/patroni-first.yml ;;
    '') WHY='the state table answers nonsense' && return 1 ;;
    *) log 'no data here; it is copied from the leader' ;;
  esac
}
until choose; do
  once "not starting: $WHY"
  sleep 1
done
# Resets the host when Patroni hangs while it leads, before another leads.
[ -n "$ROOT" ] || { modprobe softdog && chown postgres /dev/watchdog; } 2>/dev/null ||
  log 'no software watchdog in this kernel'
# /run is empty after a boot.
install -d -m 2775 -o "$OWNER" "$SOCKET"
mkdir -p "$RUN" && echo $$ >"$RUN/patroni.pid" # what follows keeps the number
export ROOT IMDS PATRONI # for patroni-create.sh and patroni-role.sh
exec "${AS[@]}" "$PATRONI" "$FILE" 3>&- </dev/null
