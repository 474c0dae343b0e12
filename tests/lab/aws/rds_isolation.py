"""Security groups and network ACLs of DB instances: whose packets reach them.

On one machine with one loopback interface, a sender is told by its address.
The lab's client sends from settings.CLIENT_ADDRESS, so it is what is let in or
kept out, as are all other addresses, except two: 127.0.0.1, from which Lambda
functions, PgBouncer and RDS's own replicas send, and the addresses of RDS.
Functions are never kept out here; the fault `cut-functions` does that.

A security group keeps out new connections; those that are open live on, as
tracked ones do on EC2. A network ACL keeps no track: it drops every packet.
"""

import ipaddress

import settings
from ministack.services import ec2
from packets import ALL, NEW, packets
from rds_databases import Database, databases

CLIENT = ipaddress.ip_address(settings.CLIENT_ADDRESS)


def follow(database: Database) -> None:
    """Brings what is dropped to what the API shows of an instance, once that holds."""
    how = None
    with database.scope():
        if _acl_keeps_out(database):
            how = ALL
        elif not _groups_let_in(database):
            how = NEW
    packets.close_to_others(database.full_name, database.host.address, database.port, how)


def follow_all() -> None:
    """The same for every instance: a rule, or an ACL, has changed."""
    for database in list(databases.values()):
        follow(database)


def forget(database: Database) -> None:
    """The instance is no more."""
    packets.close_to_others(database.full_name, database.host.address, database.port, None)


def subnet_of(database: Database) -> str | None:
    """The subnet that an instance is in: that of its subnet group in its zone, if there is exactly one."""
    subnets = [s["SubnetIdentifier"] for s in database.record["DBSubnetGroup"].get("Subnets") or []
               if s["SubnetAvailabilityZone"]["Name"] == database.record["AvailabilityZone"]]
    return subnets[0] if len(subnets) == 1 else None


def _groups_let_in(database: Database) -> bool:
    """Whether a group of the instance, or of its cluster, lets the client in; an instance without groups lets it."""
    shown = database.record["VpcSecurityGroups"] or (database.cluster or {}).get("VpcSecurityGroups") or []
    groups = [ec2._security_groups.get(g["VpcSecurityGroupId"]) for g in shown if g["Status"] != "adding"]
    if not any(groups):
        return True
    return any(_rule_lets_in(rule, database.port) for group in groups if group for rule in group["IpPermissions"])


def _rule_lets_in(rule: dict, port: int) -> bool:
    if rule["IpProtocol"] not in ("-1", "tcp", "6"):
        return False
    if rule["IpProtocol"] != "-1" and not int(rule["FromPort"]) <= port <= int(rule["ToPort"]):
        return False
    # The client is in no group, so a rule that names one lets others in.
    return any(CLIENT in ipaddress.ip_network(r["CidrIp"]) for r in rule.get("IpRanges") or [])


def _acl_keeps_out(database: Database) -> bool:
    """Whether the ACL of the instance's subnet drops what the client sends, or what it is answered."""
    subnet = subnet_of(database)
    acl = next((acl for acl in ec2._network_acls.values()
                if subnet and any(a["SubnetId"] == subnet for a in acl["Associations"])), None)
    if acl is None:  # the VPC's own, which lets everything through
        return False
    return not (_lets(acl, database.port, egress=False) and _lets(acl, None, egress=True))


def _lets(acl: dict, port: int | None, egress: bool) -> bool:
    """What the first entry that fits says. Answers go to some high port: an entry for any port of TCP fits those."""
    for entry in sorted(acl["Entries"], key=lambda entry: entry["RuleNumber"]):
        fits = (entry["Egress"] == egress and str(entry["Protocol"]) in ("-1", "6")
                and CLIENT in ipaddress.ip_network(entry.get("CidrBlock") or "::/0"))
        ports = entry.get("PortRange")
        if fits and (ports is None or port is None or int(ports["From"]) <= port <= int(ports["To"])):
            return entry["RuleAction"] == "allow"
    return False
