# The operating system below: memory, limits, updates, and who guesses passwords.

# --- memory ---------------------------------------------------------------------------------------------

# No promise of memory that is not there (PostgreSQL manual, section 18.4.4), where there is enough to promise. Small
# portions to disk: a checkpoint's burst would hold up the guard and every commit.
host_sysctl() {
  echo 'vm.swappiness = 1'
  echo 'vm.dirty_background_bytes = 67108864'
  echo 'vm.dirty_bytes = 536870912'
  if [ "$(memory_mib)" -ge 3800 ]; then
    echo 'vm.overcommit_memory = 2'
    echo 'vm.overcommit_ratio = 90'
  fi
}
memory() {
  case $ROLE in member | dr) ;; *) return 0 ;; esac
  place /etc/sysctl.d/60-understudy.conf 644 root < <(host_sysctl)
  ! changed /etc/sysctl.d/60-understudy.conf || sysctl -q -p /etc/sysctl.d/60-understudy.conf
  # Transparent huge pages: memory is gathered while a query waits.
  place /etc/tmpfiles.d/understudy.conf 644 root <<'END'
w /sys/kernel/mm/transparent_hugepage/enabled - - - - never
w /sys/kernel/mm/transparent_hugepage/defrag - - - - never
END
  ! changed /etc/tmpfiles.d/understudy.conf || systemd-tmpfiles --create /etc/tmpfiles.d/understudy.conf
}
# For people's shells; units have LimitNOFILE.
limits() {
  place /etc/security/limits.d/60-understudy.conf 644 root <<'END'
postgres soft nofile 65536
postgres hard nofile 65536
END
}

# --- updates --------------------------------------------------------------------------------------------

# Security updates each day, but nothing that a cluster's peers would notice: those are a person's, one host after the
# other, standbys first. needrestart (Ubuntu) only says what it would restart.
updates() {
  install_packages unattended-upgrades
  place /etc/apt/apt.conf.d/52understudy 644 root <<'END'
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
#clear Unattended-Upgrade::Origins-Pattern;
#clear Unattended-Upgrade::Allowed-Origins;
Unattended-Upgrade::Origins-Pattern {
  "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";
  "origin=Ubuntu,archive=${distro_codename}-security";
};
Unattended-Upgrade::Package-Blacklist {
  "^postgresql";
  "^libpq5$";
  "^patroni";
  "^etcd";
  "^pgbouncer";
  "^pgbackrest";
  "^systemd";
  "^docker";
};
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Remove-Unused-Dependencies "false";
END
  mkdir -p /etc/needrestart/conf.d
  place /etc/needrestart/conf.d/understudy.conf 644 root <<<"\$nrconf{restart} = 'l';"
}

# --- fail2ban -------------------------------------------------------------------------------------------

# Never the hosts that watch the cluster or carry its replication: a member whose peers are banned looks dead. So only
# who fails as a client is counted, and only on hosts that clients reach themselves: behind a load balancer, all have
# its addresses.
bans_clients() { [ "$ROLE/$TOPOLOGY" = member/ec2-streaming ]; }
jails() {
  cat <<END
[DEFAULT]
backend = systemd
banaction = nftables[type=multiport]
ignoreip = 127.0.0.0/8 ::1 $(addresses "$MEMBERS $ETCD" | xargs) $MONITORING
findtime = 10m
maxretry = 5
bantime = 1h

[sshd]
enabled = true
END
  ! bans_clients || cat <<END

[understudy-postgresql]
enabled = true
backend = polling
filter = understudy-postgresql
logpath = $LOGS/*.json
port = $PORT
findtime = 1m
maxretry = 20
bantime = 10m
END
}
# A failed password (28P01) or no rule in pg_hba.conf (28000), of PostgreSQL's log in JSON. Whoever names himself with
# quotes has them escaped there. fail2ban has taken the time out of a line before it looks further.
ban_filter() {
  cat <<'END'
[Definition]
failregex = ^\{,"user":"(?!understudy"|replicator"|monitor")[^"]*".*"remote_host":"<HOST>".*"FATAL","state_code":"28(P01|000)"
datepattern = "timestamp":"%%Y-%%m-%%d %%H:%%M:%%S\.%%f %%Z"
END
}
setup_bans() {
  [ -z "$ROOT" ] || return 0
  install_packages fail2ban python3-systemd nftables
  ! bans_clients || place /etc/fail2ban/filter.d/understudy-postgresql.conf 644 root < <(ban_filter)
  place /etc/fail2ban/jail.d/understudy.local 644 root < <(jails)
  # A jail with no log to read does not start.
  ! bans_clients || [ -n "$(find "$LOGS" -name '*.json' -print -quit)" ] ||
    install -m 640 -o postgres -g postgres /dev/null "$LOGS/postgresql.json"
  systemctl enable -q --now fail2ban
  if changed /etc/fail2ban/jail.d/understudy.local || changed /etc/fail2ban/filter.d/understudy-postgresql.conf; then
    systemctl restart fail2ban
  fi
}

setup_host() {
  [ -z "$ROOT" ] || return 0
  limits
  memory
  updates
}
