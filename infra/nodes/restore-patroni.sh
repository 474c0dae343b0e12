# What restore.sh does on a member of ec2-patroni, around the restore itself: pauses Patroni, so that nobody else is
# made leader and nothing starts PostgreSQL; and when the restored database is open, hands it back and has the other
# members copied anew, since their log is of a history that is no more.
# shellcheck shell=bash
. "$HERE/patroni.sh"
KEPT=$BACKUPS/patroni # how Patroni ran PostgreSQL here, and its files in the data directory, across the restore

# Patroni leaves PostgreSQL alone while it is paused, in whatever state it is.
patroni_pause() { # true|false
  local wanted='{"pause": null}'
  [ "$1" = false ] || wanted='{"pause": true}'
  patroni_load_password
  patroni_api PATCH config <<<"$wanted" >/dev/null || die "Patroni does not answer here: it must run, and reach etcd"
}
patroni_paused() { [ "$(patroni_api GET patroni 2>/dev/null | jq -r '.pause // false')" = "$1" ]; }
stop_patroni() {
  local leader left
  leader=$(patroni_api GET cluster | jq -r '[.members[] | select(.role == "leader") | .name][0] // "nobody"') ||
    die 'Patroni does not answer here'
  [ "$leader" = "$MEMBER" ] || [ "$leader" = nobody ] || die "$leader leads: restore there, or switch over here first"
  patroni_pause true
  WHY='Patroni does not say that it is paused'
  wait_for patroni_paused true
  log 'Patroni is paused'
  as_postgres mkdir -p -m 700 "$KEPT"
  # When this is run again after a cut, what was kept then is still right.
  if [ -s "$DATA/postmaster.opts" ]; then
    as_postgres cp "$DATA/postmaster.opts" "$DATA"/{postgresql,postgresql.base,pg_hba,pg_ident}.conf "$KEPT/"
  fi
  [ -s "$KEPT/postmaster.opts" ] || die "how Patroni starts PostgreSQL is not known: no $DATA/postmaster.opts"
  servers
  if ((${#SERVERS[@]})); then as_postgres pg_ctl stop -s -D "$DATA" -m fast -t 120 || die 'PostgreSQL does not stop'; fi
  for ((left = 30; left > 0; left--)); do
    servers
    ((${#SERVERS[@]})) || break
    sleep 1
  done
  log 'PostgreSQL is stopped'
}
# As Patroni would, but for what it takes out of postgresql.auto.conf: the target of the recovery.
start_patroni() {
  as_postgres cp "$KEPT"/{postgresql,postgresql.base,pg_hba,pg_ident}.conf "$DATA/"
  exec 9<&-
  # postmaster.opts is a command line in double quotes; read as whom it belongs to.
  # shellcheck disable=SC2016
  as_postgres setsid bash -c 'eval "set -- $(cat "$1")"; exec "$@"' start "$KEPT/postmaster.opts" \
    >>"$BACKUPS/restore.log" 2>&1 </dev/null 3>&- 8>&- &
  log 'PostgreSQL is started'
}
copied() { # ADDRESS
  API_ADDRESS=$1 patroni_api GET patroni 2>/dev/null |
    jq -e '.role == "replica" and .replication_state == "streaming"' >/dev/null
}
# A copy that is under way is left alone; one that was refused, or failed, is asked for again.
copy_to() { # ADDRESS
  local state
  state=$(API_ADDRESS=$1 patroni_api GET patroni 2>/dev/null | jq -r .state) || state='no answer'
  [ "$state" != 'creating replica' ] || return 0
  patroni_load_password
  WHY=$(API_ADDRESS=$1 patroni_api POST reinitialize <<<'{"force": true}' 2>&1) || :
  log "$1 ($state) is to copy the data: $WHY"
}
next_patroni() {
  local peer left
  WHY='Patroni has not taken the restored database for its leader'
  wait_for patroni_leads
  patroni_pause false
  WHY='Patroni still says that it is paused'
  wait_for patroni_paused false
  log 'Patroni leads here, and is no longer paused'
  for peer in $PEERS; do copy_to "$peer"; done
  for peer in $PEERS; do
    for ((left = ${COPY_SECONDS:-600}; left > 0; left--)); do
      if copied "$peer"; then break; fi
      sleep 1
      ((left % 30 != 1)) || copy_to "$peer"
    done
    if copied "$peer"; then log "$peer streams"; else
      log "$peer does not stream yet; look at patronictl list; rejoin-replica repairs it when it stays away"
    fi
  done
}
