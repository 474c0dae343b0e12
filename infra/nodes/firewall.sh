# The host's own firewall: the same reach as its security group's, kept where somebody widens that. Rules as a whole,
# so that there is no moment without; what is connected stays connected.

# A rule a network: a set of nftables may not hold one within another.
allow() { # WHAT "PORT..." "NETWORK..."
  local network
  for network in $3; do
    echo "    tcp dport { ${2// /, } } ip saddr $network accept comment \"$1\""
  done
}
# Addresses of a list "name=address name=address".
addresses() { local entry; for entry in $1; do echo "${entry#*=}"; done; }

roles_rules() {
  local members hosts
  members=$(addresses "$MEMBERS") hosts=$(addresses "$MEMBERS $ETCD")
  case $ROLE in
    member)
      allow 'clients' "$PORT" "$CLIENT_CIDRS $FLEET_CIDRS"
      allow 'members' "$PORT" "$members"
      allow 'second Region' "$PORT" "$DR_CIDR"
      if [ "$TOPOLOGY" = ec2-patroni ]; then
        allow 'clients of the pooler' 6432 "$CLIENT_CIDRS $FLEET_CIDRS"
        allow 'Understudy' 8008 "$FLEET_CIDRS"
        allow 'members' 8008 "$members"
        allow 'load balancer' "$PORT 6432 8008" "$CLUSTER_CIDRS"
      fi
      ;;
    etcd)
      allow 'members and etcd' 2379 "$hosts"
      allow 'etcd' 2380 "$(addresses "$ETCD")"
      ;;
    pooler)
      allow 'clients' 6432 "$CLIENT_CIDRS $FLEET_CIDRS"
      allow 'load balancer' 6432 "$CLUSTER_CIDRS"
      ;;
    dr) allow 'clients' "$PORT" "$CLIENT_CIDRS $FLEET_CIDRS $PRIMARY_CIDR $DR_CIDR" ;;
    monitoring) allow 'people' '3000 9090 9093' "$MANAGEMENT_CIDRS $BASTION" ;;
  esac
}
exporters_ports() {
  case $ROLE/$TOPOLOGY in
    member/ec2-patroni) echo 9100 9187 9127 8008 ;;
    member/* | dr/*) echo 9100 9187 ;;
    etcd/*) echo 9100 2379 ;;
    pooler/*) echo 9100 9127 ;;
    *) echo 9100 ;;
  esac
}

# Prints the rules of this host.
firewall_rules() {
  cat <<HEAD
#!/usr/sbin/nft -f
# Written by Understudy from the stack's settings; changed by hand, it is written anew.
table inet understudy {}
delete table inet understudy
table inet understudy {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iif lo accept
    ip protocol icmp icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
    meta l4proto ipv6-icmp accept
    udp dport { 68, 546 } accept comment "DHCP"
HEAD
  roles_rules
  if [ "$ROLE" = bastion ]; then
    allow 'people' 22 "$ADMIN_CIDRS"
  else
    allow 'people' 22 "$MANAGEMENT_CIDRS $BASTION"
  fi
  allow 'monitoring' "$(exporters_ports)" "$MONITORING $MONITORING_CIDRS"
  cat <<TAIL
  }
}
TAIL
}

# Not flushed as a whole: fail2ban has a table of its own.
setup_firewall() {
  local rules
  rules=$(firewall_rules)
  if [ -n "$ROOT" ]; then
    place "$ROOT/etc/understudy/nftables.conf" 644 root <<<"$rules"
    return
  fi
  install_packages nftables
  nft -c -f - <<<"$rules" || die 'nft refuses the rules of the firewall'
  place /etc/nftables.conf 644 root <<<"$rules"
  nft -f /etc/nftables.conf
  systemctl enable -q nftables
}
