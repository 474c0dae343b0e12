// Prints RDS's certificate authorities as PEM, from the module given: the roots that are still valid on 1 January 2027,
// sorted by name. Regional intermediates of 2019 have expired, and those of AWS's beta and preview are nobody's.
'use strict';
const { X509Certificate } = require('crypto');
const least = new Date('2027-01-01T00:00:00Z');
const name = (certificate) => /CN=(.*)/.exec(certificate.subject)[1];
const roots = require(require('path').resolve(process.argv[2])).defaults
  .map((pem) => new X509Certificate(pem))
  .filter((root) => root.ca && root.checkIssued(root) && new Date(root.validTo) > least)
  .filter((root) => /^Amazon RDS [a-z]+-[a-z]+-[0-9] Root CA /.test(name(root)))
  .sort((one, other) => (name(one) < name(other) ? -1 : 1));
for (const root of roots) {
  const until = new Date(root.validTo).toISOString().slice(0, 10);
  process.stdout.write(`# ${name(root)}, until ${until}\n${root.toString()}`);
}
