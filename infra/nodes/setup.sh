#!/bin/bash
# Makes this host what its ROLE says: a list of steps. Run by bootstrap.sh, at the first boot and whenever the
# stack's settings have changed; cut short anywhere, run it again. No step changes what is right already, and none
# ever restarts PostgreSQL.
. "${BASH_SOURCE%/*}/lib.sh"
for file in packages volumes host firewall tune streaming postgresql exporters logs \
  peer etcd patroni pooler pooler-tier backup monitoring dr; do
  # shellcheck source=/dev/null
  [ ! -e "$HERE/$file.sh" ] || . "$HERE/$file.sh"
done
STEP=begin PLACE='' ERRORS=$(mktemp)
exec 4>&2 # from within a step, too

# The stack hears at once which step failed and why: what the step said itself, or the last thing a program said.
finish() {
  local code=$?
  trap - ERR
  if [ "$code" != 0 ]; then
    cat "$ERRORS" >&4
    [ -n "$REASON" ] || REASON=$(grep -v '^[[:space:]]*$' "$ERRORS" | tail -n 1 || :)
    bash "$HERE/bootstrap.sh" failed "$STEP" <<<"${REASON:-$PLACE}"
  fi
  rm -f "$ERRORS"
  exit "$code"
}
trap 'PLACE="line $LINENO: $BASH_COMMAND"' ERR
trap finish EXIT
step() { # NAME FUNCTION
  local began
  now
  began=$NOW STEP=$1
  log "setup: $1"
  : >"$ERRORS"
  "$2" 2>"$ERRORS"
  cat "$ERRORS" >&4
  now
  ((NOW - began < 1000)) || log "setup: $1 took $(((NOW - began) / 1000)) s"
}

# Not twice at once: two would claim each other's files. bootstrap.sh holds it already.
{ : >&7; } 2>/dev/null || exec 7>>"$ROOT/etc/understudy/lock"
flock -n 7 || die 'another set-up runs'
rm -f "$ROOT/etc/understudy/ready"
log "setup: $ROLE of $TOPOLOGY"

# First: what is cut short from here on, by a reboot even, is taken up again.
enable understudy-refresh.timer
step packages setup_packages
step volumes setup_volumes
step host setup_host
case $ROLE/$TOPOLOGY in
  member/ec2-streaming)
    step postgresql install_postgresql
    step secrets setup_secrets
    step firewall setup_firewall
    step database setup_database
    step units setup_units
    ;;
  member/ec2-patroni)
    step postgresql install_postgresql
    step secrets setup_secrets
    step firewall setup_firewall
    step peer setup_peer
    step patroni setup_patroni
    step pooler setup_pooler
    ;;
  etcd/*)
    step firewall setup_firewall
    step peer setup_peer
    step etcd setup_etcd
    ;;
  dr/*)
    step postgresql install_postgresql
    step secrets setup_secrets
    step firewall setup_firewall
    step dr setup_dr
    ;;
  pooler/*)
    step firewall setup_firewall
    step pooler setup_pooler_tier
    ;;
  monitoring/*)
    step firewall setup_firewall
    step monitoring setup_monitoring
    ;;
  bastion/*)
    step firewall setup_firewall
    step bastion setup_bastion
    ;;
  *) die "no such role: $ROLE of $TOPOLOGY" ;;
esac
if [ "$ROLE" = member ] && [ -n "${BACKUP_STANZA:-}" ]; then step backup setup_backup; fi
step bans setup_bans
step exporters setup_exporters
step logs setup_logs
step agent setup_agent
STEP=end
bash "$HERE/bootstrap.sh" succeeded
find "$ROOT/opt/understudy.d" -mindepth 1 -maxdepth 1 ! -samefile "$HERE/." -mtime +7 -exec rm -r {} + 2>/dev/null || :
log 'setup: done'
