# Prometheus, Alertmanager and Grafana on an instance of the cluster's own; their files are in monitoring/. Prometheus
# and Alertmanager are the distribution's packages, so that they get its security updates; Grafana is its vendor's, of
# one version, from an apt repository whose key is known here by its fingerprint: apt checks each package's SHA-256
# against the index that this key signs.
#
# Only the spec's management networks and the bastion reach ports 3000, 9090 and 9093, in plain HTTP: go through the
# bastion or an SSM port forwarding.
# shellcheck shell=bash
GRAFANA_VERSION=${GRAFANA_VERSION:-11.4.0}
GRAFANA_KEY=B53AE77BADB630A683046005963FA27710458545
GRAFANA_SOURCE=https://apt.grafana.com
MONITORING_FILES=$HERE/monitoring PROMETHEUS=$ROOT/etc/prometheus GRAFANA=$ROOT/etc/grafana

# --- Prometheus -------------------------------------------------------------------------------------------

# A job for each kind of host and port; every series says whose it is.
targets() { # JOB PORT "NAME=ADDRESS..." [MORE]: of static_configs, and what else the job says
  local host
  [ -n "$3" ] || return 0
  printf '  - job_name: %s\n%s    static_configs:\n' "$1" "${4:-}"
  for host in $3; do
    printf "      - targets: ['%s:%s']\n        labels: {cluster: '%s', member: '%s'}\n" \
      "${host#*=}" "$2" "$CLUSTER" "${host%=*}"
  done
}
# etcd asks for a certificate; Patroni's answers to anybody, over TLS.
over_tls() {
  cat <<END
    scheme: https
    tls_config:
      ca_file: $PEER/authority.pem
      cert_file: $PEER/certificate.pem
      key_file: $PEER/key.pem
END
}
prometheus_configuration() {
  local members=$MEMBERS all
  [ -z "${DR_ADDRESS:-}" ] || members+=" $DR_SLOT=$DR_ADDRESS"
  all="$members $ETCD $MEMBER=$ADDRESS"
  cat <<END
global:
  scrape_interval: ${MONITORING_SCRAPE_SECONDS:-15}s
  evaluation_interval: ${MONITORING_SCRAPE_SECONDS:-15}s
rule_files:
  - $PROMETHEUS/rules.yml
  - $PROMETHEUS/rules-topology.yml
alerting:
  alertmanagers:
    - static_configs: [{targets: ['$ADDRESS:9093']}]
scrape_configs:
END
  targets prometheus 9090 "$MEMBER=$ADDRESS"
  targets alertmanager 9093 "$MEMBER=$ADDRESS"
  targets node 9100 "$all"
  targets postgres 9187 "$members"
  if [ "$TOPOLOGY" = ec2-patroni ]; then
    targets pgbouncer 9127 "$MEMBERS"
    targets patroni 8008 "$MEMBERS" "$(over_tls)"$'\n'
    targets etcd 2379 "$ETCD" "$(over_tls)"$'\n'
  fi
}

# --- Alertmanager -----------------------------------------------------------------------------------------

sns() { # TOPIC
  cat <<END
      - topic_arn: '$1'
        sigv4: {region: $REGION}
${AWS_ENDPOINT_URL:+        api_url: $AWS_ENDPOINT_URL
}        send_resolved: true
        subject: '{{ template "understudy.subject" . }}'
        message: '{{ template "understudy.message" . }}'
END
}
# What must wake somebody goes to the fleet's pages too, and again each hour.
alertmanager_configuration() {
  cat <<END
global:
  resolve_timeout: 5m
templates:
  - $PROMETHEUS/alertmanager.tmpl
route:
  receiver: alerts
  group_by: [cluster, alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - receiver: pages
      matchers: ['severity="critical"']
      repeat_interval: 1h
# A member that is down is told once, not by each of its symptoms.
inhibit_rules:
  - source_matchers: ['alertname="PostgresDown"']
    target_matchers: ['severity="warning"']
    equal: [cluster, member]
receivers:
  - name: alerts
    sns_configs:
END
  sns "$MONITORING_TOPIC"
  printf '  - name: pages\n    sns_configs:\n'
  sns "$MONITORING_TOPIC"
  [ "${PAGES_TOPIC:-$MONITORING_TOPIC}" = "$MONITORING_TOPIC" ] || sns "$PAGES_TOPIC"
}

# --- Grafana ----------------------------------------------------------------------------------------------

grafana_package() {
  local key=/etc/apt/keyrings/grafana.asc found
  if [ "$(dpkg-query -Wf '${Version}' grafana 2>/dev/null)" = "$GRAFANA_VERSION" ]; then return; fi
  install_packages gnupg ca-certificates
  install -d -m 755 /etc/apt/keyrings
  curl -sSf -m 60 --retry 3 -o $key.new "$GRAFANA_SOURCE/gpg.key" ||
    die "Grafana's key cannot be fetched from $GRAFANA_SOURCE"
  found=$(gpg --show-keys --with-colons $key.new | awk -F : '$1 == "fpr" {print $10; exit}')
  [ "$found" = $GRAFANA_KEY ] || die "Grafana's key has the fingerprint $found, not $GRAFANA_KEY"
  mv $key.new $key
  place /etc/apt/sources.list.d/grafana.list 644 root <<<"deb [signed-by=$key] $GRAFANA_SOURCE stable main"
  # No other version, and nothing else of that source.
  place /etc/apt/preferences.d/grafana 644 root <<END
Package: *
Pin: origin ${GRAFANA_SOURCE#https://}
Pin-Priority: -1

Package: grafana
Pin: version $GRAFANA_VERSION
Pin-Priority: 1001
END
  apt-get update -qq -o Dir::Etc::sourcelist=sources.list.d/grafana.list -o Dir::Etc::sourceparts=- >&2
  install_packages grafana
}
grafana_configuration() {
  cat <<END
[paths]
data = $VAR/grafana
provisioning = $GRAFANA/provisioning
[server]
http_addr = $ADDRESS
http_port = 3000
[security]
admin_user = admin
admin_password = \$__file{$GRAFANA/admin-password}
secret_key = \$__file{$GRAFANA/secret-key}
disable_gravatar = true
[users]
allow_sign_up = false
[auth.anonymous]
enabled = false
[auth.basic]
enabled = true
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
[snapshots]
external_enabled = false
[dashboards]
min_refresh_interval = 5s
default_home_dashboard_path = $GRAFANA/dashboards/pgha-overview.json
END
}
provisioning() {
  install -d -m 755 "$GRAFANA/provisioning/datasources" "$GRAFANA/provisioning/dashboards" "$GRAFANA/dashboards"
  place "$GRAFANA/provisioning/datasources/prometheus.yml" 644 root <<END
apiVersion: 1
datasources:
  - name: Prometheus
    uid: prometheus
    type: prometheus
    access: proxy
    url: http://$ADDRESS:9090
    isDefault: true
    editable: false
    jsonData: {timeInterval: ${MONITORING_SCRAPE_SECONDS:-15}s}
END
  place "$GRAFANA/provisioning/dashboards/understudy.yml" 644 root <<END
apiVersion: 1
providers:
  - name: understudy
    type: file
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options: {path: $GRAFANA/dashboards}
END
  place "$GRAFANA/dashboards/pgha-overview.json" 644 root <"$MONITORING_FILES/pgha-overview.json"
}
setup_grafana() {
  local group=root words
  if [ -z "$ROOT" ]; then
    grafana_package
    group=grafana
    install -d -m 750 -o grafana -g grafana "$VAR/grafana"
  fi
  install -d -m 755 "$GRAFANA"
  provisioning
  wait_for identity
  words=$(password "$GRAFANA_SECRET") || die "the secret $GRAFANA_SECRET cannot be read"
  place "$GRAFANA/admin-password" 640 root < <(printf %s "$words")
  [ -e "$GRAFANA/secret-key" ] || place "$GRAFANA/secret-key" 640 root < <(openssl rand -hex 32)
  place "$GRAFANA/grafana.ini" 640 root < <(grafana_configuration)
  [ -z "$ROOT" ] || return 0
  chgrp $group "$GRAFANA"/{admin-password,secret-key,grafana.ini}
  systemctl enable -q --now grafana-server
  if changed "$GRAFANA/grafana.ini" || changed "$GRAFANA/provisioning/datasources/prometheus.yml"; then
    systemctl restart grafana-server
  fi
  # The file counts only when Grafana makes its database.
  if changed "$GRAFANA/admin-password"; then
    grafana cli --homepath /usr/share/grafana --config "$GRAFANA/grafana.ini" \
      admin reset-admin-password --password-from-stdin <"$GRAFANA/admin-password" >/dev/null ||
      log "Grafana's password is the old one"
    chown -R grafana:grafana "$VAR/grafana"
  fi
}

# --- all ----------------------------------------------------------------------------------------------------

# Restarts what has been told otherwise, and reloads what can be.
monitoring_services() {
  local storage="--storage.tsdb.path=$VAR/prometheus --storage.tsdb.retention.time=${MONITORING_RETENTION_DAYS}d"
  local unit
  local alone="--storage.path=$VAR/alertmanager --cluster.listen-address="
  install -d -m 750 -o prometheus "$VAR/prometheus" "$VAR/alertmanager"
  place /etc/default/prometheus 644 root <<END
ARGS="--config.file=$PROMETHEUS/prometheus.yml --web.listen-address=$ADDRESS:9090 $storage"
END
  place /etc/default/prometheus-alertmanager 644 root <<END
ARGS="--config.file=$PROMETHEUS/alertmanager.yml --web.listen-address=$ADDRESS:9093 $alone"
END
  promtool check config "$PROMETHEUS/prometheus.yml" >/dev/null || die "Prometheus refuses its configuration"
  amtool check-config "$PROMETHEUS/alertmanager.yml" >/dev/null || die "Alertmanager refuses its configuration"
  systemctl enable -q --now prometheus prometheus-alertmanager
  for unit in prometheus prometheus-alertmanager; do
    if changed "/etc/default/$unit"; then systemctl restart $unit; else systemctl reload $unit; fi
  done
}
setup_monitoring() {
  local rules=${TOPOLOGY#ec2-}
  if [ -z "$ROOT" ]; then
    # The packages start them at once, with their own configuration.
    systemctl mask -q --runtime prometheus prometheus-alertmanager
    install_packages prometheus prometheus-alertmanager
    systemctl unmask -q --runtime prometheus prometheus-alertmanager
  fi
  [ "$TOPOLOGY" != ec2-patroni ] || setup_peer
  mkdir -p "$PROMETHEUS"
  place "$PROMETHEUS/prometheus.yml" 644 root < <(prometheus_configuration)
  place "$PROMETHEUS/rules.yml" 644 root <"$MONITORING_FILES/rules.yml"
  place "$PROMETHEUS/rules-topology.yml" 644 root <"$MONITORING_FILES/rules-$rules.yml"
  place "$PROMETHEUS/alertmanager.yml" 644 root < <(alertmanager_configuration)
  place "$PROMETHEUS/alertmanager.tmpl" 644 root <"$MONITORING_FILES/alertmanager.tmpl"
  [ -n "$ROOT" ] || monitoring_services
  if [ "${MONITORING_GRAFANA:-0}" = 1 ]; then setup_grafana; fi
}
