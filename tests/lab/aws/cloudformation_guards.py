"""CloudFormation resource types of networks' lists and Route 53's health checks that MiniStack lacks.

Fills gaps: AWS::EC2::NetworkAcl, NetworkAclEntry, SubnetNetworkAclAssociation
and AWS::Route53::HealthCheck.
"""

import network_acls
from ministack.core.responses import new_uuid
from ministack.services import ec2, route53
from ministack.services.cloudformation import provisioners
from ministack_api import call_ec2
from properties import Created, boolean, forgiving, known, retag, tagged, typed

# -- AWS::EC2::NetworkAcl, NetworkAclEntry, SubnetNetworkAclAssociation --------


def _create_acl(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::NetworkAcl", props, {"VpcId", "Tags"})
    made = call_ec2("CreateNetworkAcl", **tagged(given, "network-acl"))["NetworkAcl"]["NetworkAclId"]
    # What no entry lets through is denied.
    for egress in (False, True):
        call_ec2("CreateNetworkAclEntry", NetworkAclId=made, RuleNumber=32767, Protocol="-1", RuleAction="deny",
                 Egress=egress, CidrBlock="0.0.0.0/0")
    return made, {"Id": made}


def _update_acl(acl_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    retag(acl_id, old, new)
    return acl_id, {"Id": acl_id}


def _delete_acl(acl_id: str, _props: dict) -> None:
    forgiving("InvalidNetworkAclID.NotFound", "DeleteNetworkAcl", NetworkAclId=acl_id)


ENTRY = {"NetworkAclId", "RuleNumber", "Protocol", "RuleAction", "Egress", "CidrBlock", "PortRange"}


def _entry(props: dict) -> dict:
    given = typed(known("AWS::EC2::NetworkAclEntry", props, ENTRY), RuleNumber=int, Protocol=str, Egress=boolean,
                  From=int, To=int)
    return {"Egress": False, **given}


def _create_entry(logical_id: str, props: dict, stack_name: str) -> Created:
    call_ec2("CreateNetworkAclEntry", **_entry(props))
    return f"{stack_name}-{logical_id}-{new_uuid()[:12]}", {}


def _update_entry(entry_id: str, _old: dict, new: dict, _stack_name: str) -> Created:
    call_ec2("ReplaceNetworkAclEntry", **_entry(new))
    return entry_id, {}


def _delete_entry(_entry_id: str, props: dict) -> None:
    given = _entry(props)
    forgiving("InvalidNetworkAclID.NotFound", "DeleteNetworkAclEntry", NetworkAclId=given["NetworkAclId"],
              RuleNumber=given["RuleNumber"], Egress=given["Egress"])


def _create_association(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::SubnetNetworkAclAssociation", props, {"NetworkAclId", "SubnetId"})
    network_acls.complete()
    now = next(a["NetworkAclAssociationId"] for acl in ec2._network_acls.values() for a in acl["Associations"]
               if a["SubnetId"] == given["SubnetId"])
    made = call_ec2("ReplaceNetworkAclAssociation", AssociationId=now, NetworkAclId=given["NetworkAclId"])
    return made["NewAssociationId"], {"AssociationId": made["NewAssociationId"]}


def _delete_association(_association_id: str, props: dict) -> None:
    """The subnet gets its VPC's own list back."""
    if subnet := ec2._subnets.get(props["SubnetId"]):
        network_acls.associate(props["SubnetId"], network_acls.default_acl(subnet["VpcId"]))


# -- AWS::Route53::HealthCheck --------------------------------------------------

CONFIG = {"Type", "AlarmIdentifier", "InsufficientDataHealthStatus", "Inverted", "Port", "RequestInterval",
          "FailureThreshold", "FullyQualifiedDomainName", "IPAddress", "ResourcePath", "SearchString",
          "HealthThreshold", "ChildHealthChecks", "MeasureLatency", "EnableSNI", "Regions"}


def _config(props: dict) -> dict:
    given = known("AWS::Route53::HealthCheck", props, {"HealthCheckConfig", "HealthCheckTags"})
    config = known("AWS::Route53::HealthCheck HealthCheckConfig", given["HealthCheckConfig"], CONFIG)
    return typed(config, Inverted=boolean, Port=int, RequestInterval=int, FailureThreshold=int, HealthThreshold=int,
                 MeasureLatency=boolean, EnableSNI=boolean)


def _create_check(_logical_id: str, props: dict, _stack_name: str) -> Created:
    check_id = new_uuid()
    route53._health_checks[check_id] = {"id": check_id, "caller_reference": check_id, "config": _config(props),
                                        "version": 1}
    return check_id, {"HealthCheckId": check_id}


def _update_check(check_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    config = _config(new)
    if config["Type"] != _config(old)["Type"]:
        raise ValueError("AWS::Route53::HealthCheck: the type of a health check cannot be changed in place")
    check = route53._health_checks[check_id]
    check["config"], check["version"] = config, check["version"] + 1
    return check_id, {"HealthCheckId": check_id}


def _delete_check(check_id: str, _props: dict) -> None:
    route53._health_checks.pop(check_id, None)


# -- all of them ------------------------------------------------------------------

TYPES = {
    "AWS::EC2::NetworkAcl": {"create": _create_acl, "update": _update_acl, "delete": _delete_acl},
    "AWS::EC2::NetworkAclEntry": {"create": _create_entry, "update": _update_entry, "delete": _delete_entry},
    "AWS::EC2::SubnetNetworkAclAssociation": {"create": _create_association, "delete": _delete_association},
    "AWS::Route53::HealthCheck": {"create": _create_check, "update": _update_check, "delete": _delete_check},
}
REPLACING = {
    "AWS::EC2::NetworkAcl": ("VpcId",),
    "AWS::EC2::NetworkAclEntry": ("NetworkAclId", "RuleNumber", "Egress"),
    "AWS::EC2::SubnetNetworkAclAssociation": ("NetworkAclId", "SubnetId"),
}


def install() -> None:
    """Adds the types to MiniStack's."""
    for resource_type in TYPES:
        if resource_type in provisioners._RESOURCE_HANDLERS:
            raise RuntimeError(f"MiniStack has {resource_type} now: use its own, or say why not")
    provisioners._RESOURCE_HANDLERS.update(TYPES)
    provisioners._REPLACING_PROPERTIES.update(REPLACING)
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::NetworkAcl"] = ("Tags", "list")
