"""CloudFormation resource types of a network of one's own that MiniStack lacks.

Fills gaps: AWS::EC2::EIP, EIPAssociation, NatGateway and VPCPeeringConnection.
Each goes through the EC2 API. A peering connection whose two ends are in one
account is accepted at once, as CloudFormation does.
"""

from ministack.services import ec2
from ministack.services.cloudformation import provisioners
from ministack_api import CallFailed, call_ec2
from properties import Created, forgiving, known, retag, tagged

# -- AWS::EC2::EIP, EIPAssociation ---------------------------------------


def _create_address(_logical_id: str, props: dict, _stack_name: str) -> Created:
    """Its physical id is the address, as on CloudFormation; the allocation is an attribute."""
    given = known("AWS::EC2::EIP", props, {"Domain", "InstanceId", "Tags"})
    instance_id = given.pop("InstanceId", None)
    made = call_ec2("AllocateAddress", **tagged(given, "elastic-ip"))
    if instance_id:
        call_ec2("AssociateAddress", AllocationId=made["AllocationId"], InstanceId=instance_id)
    return made["PublicIp"], {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]}


def _allocation(public_ip: str) -> dict | None:
    return next((a for a in ec2._addresses.values() if a["PublicIp"] == public_ip), None)


def _update_address(public_ip: str, old: dict, new: dict, _stack_name: str) -> Created:
    allocation = _allocation(public_ip)
    retag(allocation["AllocationId"], old, new)
    return public_ip, {"AllocationId": allocation["AllocationId"], "PublicIp": public_ip}


def _delete_address(public_ip: str, _props: dict) -> None:
    """EC2 releases no address that something uses."""
    allocation = _allocation(public_ip)
    if allocation is None:
        return
    users = [nat["NatGatewayId"] for nat in ec2._nat_gateways.values()
             if nat["AllocationId"] == allocation["AllocationId"] and nat["State"] != "deleted"]
    if users or allocation["AssociationId"]:
        raise ValueError(f"InvalidIPAddress.InUse: {public_ip} is used by {', '.join(users) or 'an instance'}")
    call_ec2("ReleaseAddress", AllocationId=allocation["AllocationId"])


def _create_association(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::EIPAssociation", props, {"AllocationId", "InstanceId", "NetworkInterfaceId"})
    made = call_ec2("AssociateAddress", **given)
    # MiniStack keeps the instance alone.
    ec2._addresses[given["AllocationId"]]["NetworkInterfaceId"] = given.get("NetworkInterfaceId")
    return made["AssociationId"], {"Id": made["AssociationId"]}


def _delete_association(association_id: str, _props: dict) -> None:
    call_ec2("DisassociateAddress", AssociationId=association_id)


# -- AWS::EC2::NatGateway ------------------------------------------------

NAT = {"AllocationId", "ConnectivityType", "SubnetId", "Tags"}


def _create_nat(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::NatGateway", props, NAT)
    if given["SubnetId"] not in ec2._subnets:
        raise CallFailed(f"InvalidSubnetID.NotFound: The subnet ID '{given['SubnetId']}' does not exist")
    if given.get("ConnectivityType", "public") == "public" and given.get("AllocationId") not in ec2._addresses:
        raise CallFailed(f"InvalidAllocationID.NotFound: there is no address {given.get('AllocationId')}")
    made = call_ec2("CreateNatGateway", **tagged(given, "natgateway"))["NatGateway"]
    return made["NatGatewayId"], {"NatGatewayId": made["NatGatewayId"]}


def _update_nat(nat_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    retag(nat_id, old, new)
    return nat_id, {"NatGatewayId": nat_id}


def _delete_nat(nat_id: str, _props: dict) -> None:
    forgiving("NatGatewayNotFound", "DeleteNatGateway", NatGatewayId=nat_id)


# -- AWS::EC2::VPCPeeringConnection --------------------------------------

PEERING = {"PeerOwnerId", "PeerRegion", "PeerRoleArn", "PeerVpcId", "VpcId", "Tags"}


def _create_peering(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::VPCPeeringConnection", props, PEERING)
    given.pop("PeerRoleArn", None)
    made = call_ec2("CreateVpcPeeringConnection", **tagged(given, "vpc-peering-connection"))["VpcPeeringConnection"]
    peering_id = made["VpcPeeringConnectionId"]
    if made["AccepterVpcInfo"]["OwnerId"] == made["RequesterVpcInfo"]["OwnerId"]:
        call_ec2("AcceptVpcPeeringConnection", VpcPeeringConnectionId=peering_id)
    return peering_id, {"Id": peering_id}


def _update_peering(peering_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    retag(peering_id, old, new)
    return peering_id, {"Id": peering_id}


def _delete_peering(peering_id: str, _props: dict) -> None:
    forgiving("InvalidVpcPeeringConnectionID.NotFound", "DeleteVpcPeeringConnection",
              VpcPeeringConnectionId=peering_id)


# -- all of them ---------------------------------------------------------

TYPES = {
    "AWS::EC2::EIP": {"create": _create_address, "update": _update_address, "delete": _delete_address},
    "AWS::EC2::EIPAssociation": {"create": _create_association, "delete": _delete_association},
    "AWS::EC2::NatGateway": {"create": _create_nat, "update": _update_nat, "delete": _delete_nat},
    "AWS::EC2::VPCPeeringConnection": {
        "create": _create_peering, "update": _update_peering, "delete": _delete_peering},
}
REPLACING = {
    "AWS::EC2::EIP": ("Domain",),
    "AWS::EC2::EIPAssociation": ("AllocationId", "InstanceId", "NetworkInterfaceId"),
    "AWS::EC2::NatGateway": ("AllocationId", "ConnectivityType", "SubnetId"),
    "AWS::EC2::VPCPeeringConnection": ("PeerOwnerId", "PeerRegion", "PeerVpcId", "VpcId"),
}
STACK_TAGGED = ("AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::EC2::VPCPeeringConnection")


def install() -> None:
    """Adds the types to MiniStack's."""
    for resource_type in TYPES:
        if resource_type in provisioners._RESOURCE_HANDLERS:
            raise RuntimeError(f"MiniStack has {resource_type} now: use its own, or say why not")
    provisioners._RESOURCE_HANDLERS.update(TYPES)
    provisioners._REPLACING_PROPERTIES.update(REPLACING)
    provisioners._STACK_TAG_PROPERTY.update({name: ("Tags", "list") for name in STACK_TAGGED})
