#!/bin/bash
# Every start of etcd. A member whose data is gone comes back under a new id; it never begins a second cluster.
#
# A voter that has lost its log and returns with its old id may vote away what it had acknowledged. So a host notes
# in the state table that it is a member (item etcd#<logical id>), and with that note and no data it only ever joins
# what the others have.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/etcd.sh"
NOTE=$VAR/etcd.noted # the state table knows

# Sets NOTED_AT: since when this host is a member, or nothing.
read_note() {
  identity || return
  WHY="the state table does not answer: $(dynamodb GetItem 2>&1 <<<"{$(key "etcd#$LOGICAL_ID"),\"ConsistentRead\":true,
    \"ProjectionExpression\":\"#at\",\"ExpressionAttributeNames\":{\"#at\":\"at\"}}")" || return
  NOTED_AT=$(jq -er '.Item.at.S // ""' <<<"${WHY#*: }")
}
# As soon as it is a healthy member; tried until it is written, so that no later start has to guess.
note() {
  local seconds=1
  until etcd_healthy >/dev/null 2>&1 && identity && dynamodb UpdateItem >/dev/null 2>&1 <<<"{$(key "etcd#$LOGICAL_ID"),
    \"UpdateExpression\":\"SET #at = if_not_exists(#at, :at)\",\"ExpressionAttributeNames\":{\"#at\":\"at\"},
    \"ExpressionAttributeValues\":{\":at\":{\"S\":\"$(date -u +%FT%TZ)\"}}}"; do
    sleep $seconds
    ((seconds >= 30)) || ((seconds *= 2))
  done
  touch "$NOTE"
}

# Sets STATE and INITIAL. 0: begin so. Otherwise WHY.
join() {
  local list id name urls clients found=''
  STATE=new INITIAL=$ETCD_CLUSTER
  [ -n "$ETCD_OTHERS" ] || return 0 # alone, there is nothing to join and nobody to contradict
  read_note || return
  WHY="this member's data is gone, and the others do not answer; if all of them have lost theirs, delete the items \
etcd#* of $CLUSTER from $STATE_TABLE, and a new cluster begins"
  if ! list=$(etcd_client "$ETCD_OTHERS" member list --write-out=json 2>/dev/null) || [ -z "$list" ]; then
    [ -z "$NOTED_AT" ] # nobody answers: the first start of all
    return
  fi
  # Hexadecimal ids are only in the plain list: JSON has 64-bit numbers, which jq rounds.
  list=$(etcd_client "$ETCD_OTHERS" member list 2>&1) || { WHY="etcd: $list" && return 1; }
  while IFS=, read -r id _ name urls clients _; do
    [ "${urls// /}" != "https://$ADDRESS:2380" ] || found="${id// /} ${name// /}- ${clients// /}-"
  done <<<"$list"
  read -r id name clients <<<"$found"
  # Named by the first start of all, and it has never joined: it goes on with that start.
  if [ -n "$id" ] && [ "$name" != - ] && [ "$clients" = - ] && [ -z "$NOTED_AT" ]; then return 0; fi
  if [ -n "$id" ] && [ "$name" != - ]; then
    log "this member's data is gone; its old id $id is removed"
    WHY="the old id $id cannot be removed: $(etcd_client "$ETCD_OTHERS" member remove "$id" 2>&1 | tail -n 1)" || return
    id=''
  fi
  if [ -z "$id" ]; then
    WHY="it cannot be added: $(
      etcd_client "$ETCD_OTHERS" member add "$ETCD_NAME" --peer-urls="https://$ADDRESS:2380" 2>&1 | tail -n 1
    )" || return
  fi
  WHY="etcd's members cannot be listed"
  list=$(etcd_client "$ETCD_OTHERS" member list 2>/dev/null) || return
  STATE=existing
  INITIAL=$(awk -F ', *' -v mine="https://$ADDRESS:2380" -v name="$ETCD_NAME" '{
    printf "%s%s=%s", (NR > 1 ? "," : ""), ($4 == mine ? name : $3), $4}' <<<"$list")
}

etcd_members
STATE=existing INITIAL=$ETCD_CLUSTER NOTED_AT=''
if [ ! -d "$ETCD_DATA/member" ]; then
  until join; do
    once "not starting: $WHY"
    sleep 2
  done
  log "starting without data: $STATE cluster $INITIAL"
fi
place "$VAR/etcd.yml" 644 root < <(etcd_configuration "$STATE" "$INITIAL")
[ -e "$NOTE" ] || note 3>&- &
mkdir -p "$RUN" && echo $$ >"$RUN/etcd.pid" # what follows keeps the number
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid="$(etcd_owner)" --regid="$(id -g "$(etcd_owner)")" --init-groups)
exec "${as[@]}" etcd --config-file="$VAR/etcd.yml" 3>&- </dev/null
