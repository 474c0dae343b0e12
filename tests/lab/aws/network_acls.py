"""Network ACLs: which subnet has which, and what of TCP an entry means.

Fills gaps: MiniStack shows no association of a subnet that was never given
one, loses the subnet when an association is replaced, knows no filter by
subnet, and drops the ports of an entry.
"""

from collections.abc import Callable

import rds_isolation
from ministack.core.responses import new_uuid
from ministack.services import ec2


def associate(subnet_id: str, acl_id: str) -> str:
    """Gives a subnet an ACL instead of the one that it has; the new association's id."""
    for acl in ec2._network_acls.values():
        acl["Associations"] = [a for a in acl["Associations"] if a["SubnetId"] != subnet_id]
    association = "aclassoc-" + new_uuid().replace("-", "")[:17]
    ec2._network_acls[acl_id]["Associations"].append(
        {"NetworkAclAssociationId": association, "SubnetId": subnet_id})
    return association


def default_acl(vpc_id: str) -> str:
    """The ACL that a VPC was made with."""
    return next(acl["NetworkAclId"] for acl in ec2._network_acls.values()
                if acl["VpcId"] == vpc_id and acl["IsDefault"])


def complete() -> None:
    """Every subnet has an ACL: its VPC's own unless it was given another."""
    given = {a["SubnetId"] for acl in ec2._network_acls.values() for a in acl["Associations"]}
    vpcs = {acl["VpcId"] for acl in ec2._network_acls.values() if acl["IsDefault"]}
    for subnet_id, subnet in list(ec2._subnets.items()):
        if subnet_id not in given and subnet["VpcId"] in vpcs:
            associate(subnet_id, default_acl(subnet["VpcId"]))


def _describe(params: dict) -> tuple:
    complete()
    filters = ec2._parse_filters(params)
    wanted = filters.get("association.subnet-id")
    ids = filters.get("network-acl-id") or []
    if wanted:
        ids = [acl["NetworkAclId"] for acl in ec2._network_acls.values()
               if any(a["SubnetId"] in wanted for a in acl["Associations"])]
        if not ids:
            return ec2._xml(200, "DescribeNetworkAclsResponse", "<networkAclSet></networkAclSet>")
    named = {f"NetworkAclId.{n}": [acl_id] for n, acl_id in enumerate(ids, 1)}
    return _original["DescribeNetworkAcls"]({**params, **named})


def _replace(params: dict) -> tuple:
    complete()
    association, acl_id = ec2._p(params, "AssociationId"), ec2._p(params, "NetworkAclId")
    subnet = next((a["SubnetId"] for acl in ec2._network_acls.values() for a in acl["Associations"]
                   if a["NetworkAclAssociationId"] == association), None)
    if acl_id not in ec2._network_acls:
        return ec2._error("InvalidNetworkAclID.NotFound", f"The network ACL '{acl_id}' does not exist", 400)
    if subnet is None:
        return ec2._error("InvalidAssociationID.NotFound", f"The association '{association}' does not exist", 400)
    made = associate(subnet, acl_id)
    rds_isolation.follow_all()
    return ec2._xml(200, "ReplaceNetworkAclAssociationResponse", f"<newAssociationId>{made}</newAssociationId>")


def _delete(params: dict) -> tuple:
    acl = ec2._network_acls.get(ec2._p(params, "NetworkAclId"))
    if acl and acl["Associations"]:
        return ec2._error("DependencyViolation", f"The network ACL '{acl['NetworkAclId']}' has dependencies", 400)
    return _original["DeleteNetworkAcl"](params)


def _entry(action: str) -> Callable[[dict], tuple]:
    """CreateNetworkAclEntry or ReplaceNetworkAclEntry, which keep the ports."""
    def handler(params: dict) -> tuple:
        answer = _original[action](params)
        acl = ec2._network_acls.get(ec2._p(params, "NetworkAclId"))
        if answer[0] == 200 and acl and ec2._p(params, "PortRange.From"):
            acl["Entries"][-1]["PortRange"] = {"From": int(ec2._p(params, "PortRange.From")),
                                               "To": int(ec2._p(params, "PortRange.To"))}
        rds_isolation.follow_all()
        return answer

    return handler


def _then_follow(action: str) -> Callable[[dict], tuple]:
    """An action that changes a security group or an ACL: what it says holds at once."""
    def handler(params: dict) -> tuple:
        answer = _original[action](params)
        rds_isolation.follow_all()
        return answer

    return handler


FOLLOWED = ("DeleteNetworkAclEntry", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress")
_original = {name: ec2._ACTION_MAP[name] for name in (
    "DescribeNetworkAcls", "ReplaceNetworkAclAssociation", "DeleteNetworkAcl", "CreateNetworkAclEntry",
    "ReplaceNetworkAclEntry", *FOLLOWED)}


def install() -> None:
    """Puts all of this in MiniStack's place."""
    ec2._ACTION_MAP.update({
        "DescribeNetworkAcls": _describe, "ReplaceNetworkAclAssociation": _replace, "DeleteNetworkAcl": _delete,
        "CreateNetworkAclEntry": _entry("CreateNetworkAclEntry"),
        "ReplaceNetworkAclEntry": _entry("ReplaceNetworkAclEntry"),
        **{name: _then_follow(name) for name in FOLLOWED}})
