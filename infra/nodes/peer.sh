# This host's own key and certificate, for TLS between the hosts of a cluster: etcd and Patroni's REST API.
# shellcheck shell=bash
PEER=$ROOT/etc/understudy/peer
PEER_DAYS=365 # of a new certificate; it is renewed when 30 are left

# The key belongs to who reads it, as soon as there is such a user: a package may bring it later.
peer_own() {
  local owner=postgres
  case $ROLE in
    etcd) owner=etcd ;;
    monitoring) owner=prometheus ;;
  esac
  if [ "$(id -u)" = 0 ] && id -u "$owner" >/dev/null 2>&1; then chown "$owner" "$PEER/key.pem"; fi
}
# Whether the certificate still does: of this key and address, signed by today's authority, for 30 days and more.
peer_holds() {
  local there
  [ -s "$PEER/key.pem" ] && [ -s "$PEER/certificate.pem" ] &&
    openssl verify -CAfile "$PEER/authority.pem" "$PEER/certificate.pem" >/dev/null 2>&1 &&
    openssl x509 -in "$PEER/certificate.pem" -noout -checkend $((30 * 86400)) >/dev/null &&
    [ "$(openssl x509 -in "$PEER/certificate.pem" -noout -pubkey)" = "$(openssl pkey -in "$PEER/key.pem" -pubout)" ] ||
    return
  there=$(openssl x509 -in "$PEER/certificate.pem" -noout -ext subjectAltName)
  [[ "$there," == *"IP Address:$ADDRESS,"* ]]
}
# Both under other names first: whoever reads them meanwhile finds a pair, or the next moment does.
# The authority's key is read from a pipe: it is on no disk of this host, and no argument of a process.
peer_certificate() { # AUTHORITY-KEY
  local new=$PEER/new
  rm -rf "$new"
  install -d -m 700 "$new"
  (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$new/key.pem" 2>/dev/null)
  openssl req -new -key "$new/key.pem" -subj "/CN=$MEMBER" -out "$new/request.pem"
  openssl x509 -req -in "$new/request.pem" -CA "$PEER/authority.pem" -CAkey <(cat <<<"$1") -days $PEER_DAYS \
    -set_serial "0x$(openssl rand -hex 16)" -out "$new/certificate.pem" -extfile <(
    echo "subjectAltName=IP:$ADDRESS,IP:127.0.0.1"
    echo 'extendedKeyUsage=serverAuth,clientAuth'
    echo 'keyUsage=critical,digitalSignature'
    echo 'basicConstraints=critical,CA:FALSE'
  ) 2>/dev/null || die "the certificate between hosts cannot be made: the authority's key does not sign"
  chmod 644 "$new/certificate.pem"
  mv "$new/key.pem" "$new/certificate.pem" "$PEER/"
  rm -rf "$new"
  log "a new certificate between hosts, until $(openssl x509 -noout -enddate <"$PEER/certificate.pem" | cut -d = -f 2)"
}

setup_peer() {
  local tls key
  wait_for identity
  tls=$(secret "$TLS_SECRET")
  key=$(jq -er .peer_authority_key <<<"$tls") || die 'the tls secret has no peer_authority_key'
  install -d -m 755 "$PEER"
  place "$PEER/authority.pem" 644 root < <(jq -er .peer_authority <<<"$tls")
  if ! peer_holds; then
    peer_certificate "$key"
    peer_holds || die "the certificate between hosts does not verify: peer_authority_key is another's, or has ended"
  fi
  peer_own
  enable understudy-peer.timer
}
