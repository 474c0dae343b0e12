#!/bin/bash
# Once a day: renews the certificate between hosts before it ends. etcd reads it anew with every connection.
. "${BASH_SOURCE%/*}/lib.sh"
. "$HERE/peer.sh"
enable() { :; } # it is: it runs this
setup_peer
if [ "$ROLE" = member ]; then
  . "$HERE/patroni.sh"
  patroni_load_password
  patroni_reload
fi
