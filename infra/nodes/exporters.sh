# Exporters for Prometheus, on this host's own address only: the distribution's packages, so that they get its security
# updates. The server's reads by the socket, as a role that may only look.

node_exporter() {
  mkdir -p /var/lib/prometheus/node-exporter
  place /etc/default/prometheus-node-exporter 644 root \
    <<<"ARGS=\"--web.listen-address=$ADDRESS:9100 --collector.systemd\""
  install_packages prometheus-node-exporter
  systemctl enable -q --now prometheus-node-exporter
  ! changed /etc/default/prometheus-node-exporter || systemctl restart prometheus-node-exporter
}
postgres_exporter() {
  # The package's own unit would listen everywhere and look for a password.
  systemctl mask -q prometheus-postgres-exporter
  install_packages prometheus-postgres-exporter
  enable understudy-exporter.service
}
setup_exporters() {
  enable understudy-health.timer
  [ -z "$ROOT" ] || return 0
  node_exporter
  case $ROLE in member | dr) postgres_exporter ;; esac
}
