#!/bin/bash
# A member that has a host to itself, as on EC2 (ROOT is empty): user data's bootstrap.sh runs in a copy-on-write view of
# this machine's file system, with namespaces of its own for processes and mounts, and installs and configures everything
# for real, by apt: volumes on loop devices, firewall, fail2ban, updates, exporters, PostgreSQL. What a kernel is asked of
# (sysctl, nft) is asked in a network namespace that nobody uses; systemd is a stand-in of 30 lines.
#
#   tests/nodes/own_root.sh       as root, on Debian or Ubuntu whose apt works; changes nothing of this machine
set -Eeuo pipefail
[ "$(id -u)" = 0 ] || { echo 'not root: nothing is tried' && exit 0; }
# Whatever is mounted here is mounted nowhere else, and gone with this shell.
[ -n "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=yes exec unshare --mount --propagation private bash "$0" "$@"
MINISTACK_PORT=${MINISTACK_PORT:-14588} IMDS_PORT=${IMDS_PORT:-14589}
. "${BASH_SOURCE%/*}/kit.sh"
address() { echo "127.0.26.1$1"; }

# --- the host ---------------------------------------------------------------------------------------------------

NEW=$WORK/host/root DEVICES='' BOOT=''
host() {
  mkdir host
  mount -t tmpfs tmpfs host
  mkdir -p host/{up,work,root}
  mount -t overlay overlay -o lowerdir=/,upperdir=host/up,workdir=host/work "$NEW"
  mount --rbind /dev "$NEW/dev"
  mount -t tmpfs tmpfs "$NEW/run"
  mount -t tmpfs tmpfs "$NEW/tmp"
  mkdir -p "$NEW/run/lock" "$NEW/opt/stand-ins" "$NEW/etc/understudy"
  install -d -m 2775 -o postgres -g postgres "$NEW/run/postgresql"
  : >"$NEW/etc/fstab"
}
leave() {
  local device
  [ -z "$BOOT" ] || kill -9 -- "-$BOOT" 2>/dev/null || :
  sleep 0.3
  umount -lR "$NEW" "$WORK/host" 2>/dev/null || :
  for device in $DEVICES; do losetup -d "$device" || :; done
  [ ! -e first.log ] || grep -v '^(Reading' first.log >m1.log
}
# Volumes as the kernel shows NVMe's: a serial number each.
volumes() {
  local name
  for name in data wal; do
    truncate -s 300M "$name.disk"
    DEVICES="$DEVICES $(losetup --show -f "$name.disk")"
  done
  mkdir -p "$NEW/sys-block"/nvme{1,2}n1/device "$NEW/dev-nvme"
  read -r first second <<<"$DEVICES"
  echo 'vol0data            ' >"$NEW/sys-block/nvme1n1/device/serial"
  echo 'vol0wal             ' >"$NEW/sys-block/nvme2n1/device/serial"
  ln -s "$first" "$NEW/dev-nvme/nvme1n1"
  ln -s "$second" "$NEW/dev-nvme/nvme2n1"
}
# Starts what is enabled and restarted, as the user that its unit says; writes down all that it is asked.
stand_ins() {
  cat >"$NEW/opt/stand-ins/systemctl" <<'END'
#!/bin/bash
echo "$*" >>/var/log/systemctl.log
verb=$1
shift
case $verb in
  cat) exit 1 ;;
  enable | restart | try-restart) ;;
  *) exit 0 ;;
esac
for unit in "$@"; do
  file=/etc/systemd/system/$unit
  [[ $unit == *.service && -e $file ]] || continue
  [ -e "/run/$unit.pid" ] && kill -0 "$(cat "/run/$unit.pid")" 2>/dev/null && continue
  user=$(sed -n 's/^User=//p' "$file")
  mkdir -p /run/understudy && chown postgres /run/understudy
  setsid setpriv --reuid="${user:-root}" --regid="${user:-root}" --init-groups bash -c "while :; do
    $(sed -n 's/^ExecStart=//p' "$file"); sleep 1; done" >>"/var/log/$unit.log" 2>&1 </dev/null 7>&- &
  echo $! >"/run/$unit.pid"
done
END
  printf '#!/bin/bash\nexec unshare -n /usr/sbin/nft "$@"\n' >"$NEW/opt/stand-ins/nft"
  printf '#!/bin/bash\necho "sysctl $*" >>/var/log/systemctl.log\n' | tee "$NEW/opt/stand-ins/sysctl" >"$NEW/opt/stand-ins/systemd-tmpfiles"
  chmod 755 "$NEW/opt/stand-ins"/*
  # Packages start nothing.
  printf '#!/bin/sh\nexit 101\n' >"$NEW/usr/sbin/policy-rc.d"
  chmod 755 "$NEW/usr/sbin/policy-rc.d"
}

inside() { # COMMAND...: within it, in namespaces that end with the command's first process
  nsenter -t "$INIT" -m -p chroot "$NEW" env -i PATH=/opt/stand-ins:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    IMDS="http://127.0.0.1:$IMDS_PORT/i-1" AWS_ENDPOINT_URL="$AWS_ENDPOINT_URL" SYS_BLOCK=/sys-block DEV=/dev-nvme "$@"
}
boot() {
  # shellcheck disable=SC2016
  background init.log unshare --mount --pid --fork --kill-child bash -c 'mount -t proc proc "$1/proc"; exec sleep infinity' - "$NEW"
  BOOT=${STARTED[-1]}
  until INIT=$(pgrep -P "$BOOT" -x sleep); do sleep 0.1; done
}

# --- what is seen -------------------------------------------------------------------------------------------------

asked() { grep -cE -- "$1" "$NEW/var/log/systemctl.log" || :; }
served() { inside setpriv --reuid=postgres --regid=postgres --init-groups psql -XAtq -h /run/postgresql -d postgres -c "$1"; }
looks() {
  is 'it serves' f "$(served 'SELECT pg_is_in_recovery()')"
  is 'its data is on the one volume, its log on the other' 'ext4 /var/lib/understudy ext4 /var/lib/understudy-wal' \
    "$(for at in /var/lib/understudy/data /var/lib/understudy/data/pg_wal/; do inside df --output=fstype,target "$at" | tail -n 1; done | xargs)"
  is 'and will be again' 2 "$(grep -c '^UUID=.* ext4 noatime,nofail 0 2$' "$NEW/etc/fstab")"
  is 'memory as it is there' "$(awk '/^MemTotal/ {print int(int($2 / 1024) / 4) "MB"}' /proc/meminfo)" \
    "$(sed -n "s/^shared_buffers = '\(.*\)'/\1/p" "$NEW/etc/understudy/postgresql/understudy.conf")"
  is 'no huge pages, little swapping' '2 1' "$(grep -c never "$NEW/etc/tmpfiles.d/understudy.conf") $(grep -c 'vm.swappiness = 1' "$NEW/etc/sysctl.d/60-understudy.conf")"
  is 'the firewall is on' 1 "$(asked '^enable -q nftables')"
  is 'nft takes it' '' "$(inside nft -c -f /etc/nftables.conf 2>&1)"
  is 'the way by hand is there, and not on a writer' 'orders_1 is no standby that answers' \
    "$(inside /usr/local/bin/postgres-promote-replica.sh 2>&1 | sed 's/.*failed: //' || :)"
  updates
  bans
  exporters
}
updates() {
  local config
  config=$(inside apt-config dump)
  is 'updates each day' 'APT::Periodic::Unattended-Upgrade "1";' "$(grep Periodic::Unattended <<<"$config")"
  is 'of security alone' 2 "$(grep -c '^Unattended-Upgrade::Origins-Pattern:: ' <<<"$config")"
  is 'never of PostgreSQL' 1 "$(grep -c '^Unattended-Upgrade::Package-Blacklist:: "^postgresql";' <<<"$config")"
  is 'and no boot by itself' 'Unattended-Upgrade::Automatic-Reboot "false";' "$(grep Automatic-Reboot\  <<<"$config")"
}
bans() {
  local line='{"timestamp":"2026-11-21 17:51:34.123 UTC","user":"USER","dbname":"orders","pid":12,"remote_host":"192.0.2.7","remote_port":4711,"session_id":"6.1","line_num":2,"ps":"authentication","session_start":"2026-11-21 17:51:34 UTC","vxid":"4/12","txid":0,"error_severity":"FATAL","state_code":"28P01","message":"password authentication failed for user \"USER\"","backend_type":"client backend","query_id":0}'
  is 'fail2ban takes its jails' 'OK: configuration test is successful' "$(inside fail2ban-client -t 2>&1 | tail -n 1)"
  is 'a failed password counts' 1 "$(matched "${line//USER/app}")"
  is 'not of Understudy' 0 "$(matched "${line//USER/understudy}")"
  is 'nor of another member' 0 "$(matched "${line//USER/replicator}")"
  served 'SELECT 1' >/dev/null
  inside env PGPASSWORD=wrong psql "host=$(address 1) user=app dbname=orders sslmode=require" -c 'SELECT 1' >/dev/null 2>&1 || :
  is "of PostgreSQL's own words" 1 "$(inside bash -c 'cat /var/log/postgresql/*.json' | grep -c '"user":"app".*28P01')"
  is 'fail2ban reads them' 1 "$(matched "$(inside bash -c 'cat /var/log/postgresql/*.json' | grep '"user":"app".*28P01')")"
  is 'the peers are never banned' 1 "$(grep -c "^ignoreip = .*$(address 1) $(address 2)" "$NEW/etc/fail2ban/jail.d/understudy.local")"
}
matched() { inside fail2ban-regex "$1" /etc/fail2ban/filter.d/understudy-postgresql.conf | sed -n 's/.* \([0-9]*\) matched.*/\1/p'; }
exporters() {
  is 'the node exporter is told its address' "ARGS=\"--web.listen-address=$(address 1):9100 --collector.systemd\"" "$(cat "$NEW/etc/default/prometheus-node-exporter")"
  # shellcheck disable=SC2016
  inside bash -c '. /etc/default/prometheus-node-exporter; exec setsid prometheus-node-exporter ${ARGS/--collector.systemd/}' >>node.log 2>&1 </dev/null &
  inside bash /opt/understudy/health.sh >>health.log 2>&1
  until_is 10 'and listens there' 1 eval "curl -s http://$(address 1):9100/metrics | grep -c '^understudy_database_up 1'"
  until_is 20 "PostgreSQL's exporter sees it" 1 eval "curl -s http://$(address 1):9187/metrics | grep -c '^pg_up 1'"
  is 'and nobody listens elsewhere' '' "$(ss -Htln 'sport = :9100 or sport = :9187' | awk '{print $4}' | grep -v "^$(address 1):" || :)"
}

trap 'code=$?; set +e; leave; finish "$code"' EXIT
authority
cloud
host
volumes
stand_ins
member 1
sed 's/^DATA_VOLUME= WAL_VOLUME=.*/DATA_VOLUME=vol-0data WAL_VOLUME=vol-0wal BACKUP_VOLUME=/' m1/etc/understudy/identity.env >"$NEW/etc/understudy/identity.env"
settings SYNCHRONOUS_REQUIRED=0 'MEMBERS="orders_1='"$(address 1) orders_2=$(address 2)"'"' MANAGEMENT_CIDRS=192.0.2.0/24
cp "$NODES/bootstrap.sh" "$NEW/root/"
boot
inside bash /root/bootstrap.sh >first.log 2>&1
looks
first=$(served 'SELECT pg_postmaster_start_time()')
inside bash /root/bootstrap.sh >second.log 2>&1
is 'again: the same server' "$first" "$(served 'SELECT pg_postmaster_start_time()')"
is 'and nothing is restarted' 0 "$(tail -n 20 second.log | grep -c 'reloaded\|formatting' || :)"
