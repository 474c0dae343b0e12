# Programs: from the distribution, from the PostgreSQL project where it has no such version, and AWS's agents.

# What the scripts themselves need. Nothing that apt does restarts a service by surprise: Ubuntu's needrestart would.
setup_packages() {
  if [ -n "$ROOT" ]; then
    if ! have jq || ! have curl; then die 'jq or curl is missing'; fi
    return
  fi
  export NEEDRESTART_MODE=l
  install_packages jq curl ca-certificates
}

# PostgreSQL as a program, with no database of its own.
install_postgresql() {
  if [ -n "$ROOT" ]; then
    have postgres || die "PostgreSQL $POSTGRESQL_VERSION is missing"
    mkdir -p "$LOGS" "$SOCKET" "$RUN"
    chown "$OWNER:" "$LOGS" "$SOCKET" "$RUN"
    return
  fi
  mkdir -p /etc/postgresql-common/createcluster.d
  place /etc/postgresql-common/createcluster.d/understudy.conf 644 root <<<'create_main_cluster = false'
  install_packages postgresql-common
  if ! apt-cache show "postgresql-$POSTGRESQL_VERSION" >/dev/null 2>&1; then
    log "PostgreSQL $POSTGRESQL_VERSION is not the distribution's: from the PostgreSQL project"
    install_packages gnupg
    # It brings its archive's key along.
    bash /usr/share/postgresql-common/pgdg/apt*.sh -y >&2
  fi
  install_packages "postgresql-$POSTGRESQL_VERSION" "postgresql-client-$POSTGRESQL_VERSION"
}

setup_bastion() {
  install_packages postgresql-client
}

# A package of AWS's own, by the Region's bucket. TLS says whose it is.
install_agent() { # NAME URL
  local deb left=3
  deb=$(mktemp -d)/$1.deb
  until curl -sSf -m 180 -o "$deb" "$2" && apt_get install "$deb"; do
    ((--left > 0)) || return
    sleep 5
  done
  rm -r "${deb%/*}"
}
# rejoin.sh is run by it, and Debian's image does not have it; Ubuntu's has it as a snap. A member serves without.
setup_agent() {
  local url=https://s3.$REGION.amazonaws.com/amazon-ssm-$REGION/latest
  if [ -n "$ROOT" ] || systemctl cat amazon-ssm-agent >/dev/null 2>&1 ||
    systemctl cat snap.amazon-ssm-agent.amazon-ssm-agent >/dev/null 2>&1; then return; fi
  install_agent amazon-ssm-agent "$url/debian_$(dpkg --print-architecture)/amazon-ssm-agent.deb" ||
    log 'no SSM agent: nobody can log in by Session Manager, and no old writer is rejoined'
}
