"""CloudFormation resource types of an EC2 cluster's stack that MiniStack lacks.

Fills gaps: AWS::EC2::NetworkInterface, Instance, Volume, VolumeAttachment,
SecurityGroupIngress and SecurityGroupEgress. Each goes through the EC2 API,
as CloudFormation does, so that what a stack makes is what the API shows. A
property that is not listed here fails the resource: nothing is ignored.
"""

import time
from collections.abc import Callable

import settings
import stacks
from ministack.services import ec2
from ministack.services.cloudformation import provisioners
from ministack_api import CallFailed, call_ec2
from properties import Created, boolean, changed, forgiving, known, retag, tagged, typed

# Well above what any change of state takes here.
TERMINATION_TIMEOUT = 30.0 + settings.STOP_SECONDS


# -- AWS::EC2::NetworkInterface ------------------------------------------

INTERFACE = {"SubnetId", "PrivateIpAddress", "GroupSet", "Description", "Tags"}


def _create_interface(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::NetworkInterface", props, INTERFACE)
    if "GroupSet" in given:
        given["Groups"] = given.pop("GroupSet")
    made = call_ec2("CreateNetworkInterface", **tagged(given, "network-interface"))["NetworkInterface"]
    return made["NetworkInterfaceId"], _interface_attributes(made)


def _interface_attributes(interface: dict) -> dict:
    return {"Id": interface["NetworkInterfaceId"], "VpcId": interface["VpcId"],
            "PrimaryPrivateIpAddress": interface["PrivateIpAddress"]}


def _update_interface(interface_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    interface = ec2._network_interfaces[interface_id]
    interface["Description"] = new.get("Description", "")
    interface["Groups"] = [
        {"GroupId": g, "GroupName": ec2._security_groups.get(g, {}).get("GroupName", g)}
        for g in new.get("GroupSet") or [ec2._DEFAULT_SG_ID]]
    retag(interface_id, old, new)
    return interface_id, _interface_attributes(interface)


def _delete_interface(interface_id: str, _props: dict) -> None:
    forgiving("InvalidNetworkInterfaceID.NotFound", "DeleteNetworkInterface", NetworkInterfaceId=interface_id)


# -- AWS::EC2::Instance --------------------------------------------------

INSTANCE = {
    "ImageId", "InstanceType", "KeyName", "SubnetId", "SecurityGroupIds", "PrivateIpAddress", "NetworkInterfaces",
    "UserData", "IamInstanceProfile", "BlockDeviceMappings", "MetadataOptions", "Tags",
    "PropagateTagsToVolumeOnCreation", "Volumes",
    "AvailabilityZone", "EbsOptimized", "Monitoring", "DisableApiTermination", "InstanceInitiatedShutdownBehavior",
    "CreditSpecification",
}
# Accepted, and without meaning for a machine that is a directory.
WITHOUT_MEANING = {"AvailabilityZone", "EbsOptimized", "Monitoring", "DisableApiTermination",
                   "InstanceInitiatedShutdownBehavior", "CreditSpecification"}
# "Update requires" of the resource reference.
INSTANCE_REPLACING = ("AvailabilityZone", "ImageId", "KeyName", "NetworkInterfaces", "PrivateIpAddress", "SubnetId")
INSTANCE_PERHAPS_REPLACING = ("BlockDeviceMappings", "InstanceType", "SecurityGroupIds", "UserData")


def _create_instance(logical_id: str, props: dict, stack_name: str) -> Created:
    given = known("AWS::EC2::Instance", props, INSTANCE)
    given = {k: v for k, v in given.items() if k not in WITHOUT_MEANING}
    given = typed(given, DeviceIndex=int, VolumeSize=int, Iops=int, Throughput=int, Encrypted=boolean,
                  DeleteOnTermination=boolean, HttpPutResponseHopLimit=int)
    given.pop("PropagateTagsToVolumeOnCreation", None)
    volumes = given.pop("Volumes", [])
    if "IamInstanceProfile" in given:
        given["IamInstanceProfile"] = {"Name": given["IamInstanceProfile"]}
    stacks.register(stack_name, logical_id)
    made = call_ec2("RunInstances", MinCount=1, MaxCount=1, **tagged(given, "instance"))["Instances"][0]
    instance_id = made["InstanceId"]
    try:
        for volume in volumes:
            call_ec2("AttachVolume", InstanceId=instance_id, **volume)
        stacks.wait(stack_name, logical_id)
    except (RuntimeError, TimeoutError, CallFailed):
        # MiniStack rolls back what was created, and this one was not.
        _delete_instance(instance_id, props)
        raise
    return instance_id, _instance_attributes(made)


def _instance_attributes(instance: dict) -> dict:
    return {"InstanceId": instance["InstanceId"], "VpcId": instance["VpcId"],
            "PrivateIp": instance["PrivateIpAddress"], "PrivateDnsName": instance["PrivateDnsName"],
            "AvailabilityZone": instance["Placement"]["AvailabilityZone"]}


def _update_instance(instance_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    """Tags in place. New user data, as on EC2: stored, for a first boot that is past."""
    if others := changed(old, new) - {"Tags", "UserData"}:
        raise ValueError(f"AWS::EC2::Instance: the lab cannot update {', '.join(sorted(others))} in place")
    retag(instance_id, old, new)
    instance = ec2._instances[instance_id]
    instance["UserData"] = new.get("UserData", "")
    return instance_id, _instance_attributes(instance)


def _delete_instance(instance_id: str, _props: dict) -> None:
    """Terminates and, as CloudFormation does, waits for the end: only then are the interfaces free."""
    forgiving("InvalidInstanceID.NotFound", "TerminateInstances", InstanceIds=[instance_id])
    deadline = time.monotonic() + TERMINATION_TIMEOUT
    while (instance := ec2._instances.get(instance_id)) and instance["State"]["Name"] != "terminated":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{instance_id} is still {instance['State']['Name']}")
        time.sleep(0.05)


# -- AWS::EC2::Volume, VolumeAttachment ----------------------------------

VOLUME = {"AvailabilityZone", "Encrypted", "Iops", "KmsKeyId", "Size", "SnapshotId", "Throughput", "VolumeType", "Tags"}
VOLUME_IN_PLACE = ("Size", "VolumeType", "Iops", "Throughput")


def _create_volume(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = typed(known("AWS::EC2::Volume", props, VOLUME),
                  Size=int, Iops=int, Throughput=int, Encrypted=boolean)
    volume_id = call_ec2("CreateVolume", **tagged(given, "volume"))["VolumeId"]
    return volume_id, {"VolumeId": volume_id}


def _update_volume(volume_id: str, old: dict, new: dict, _stack_name: str) -> Created:
    other = {name: new[name] for name in VOLUME_IN_PLACE if name in new and new[name] != old.get(name)}
    if other:
        call_ec2("ModifyVolume", VolumeId=volume_id, **typed(other, Size=int, Iops=int, Throughput=int))
    retag(volume_id, old, new)
    return volume_id, {"VolumeId": volume_id}


def _delete_volume(volume_id: str, _props: dict) -> None:
    forgiving("InvalidVolume.NotFound", "DeleteVolume", VolumeId=volume_id)


def _snapshot_volume(volume_id: str, _props: dict) -> None:
    """DeletionPolicy: Snapshot."""
    call_ec2("CreateSnapshot", VolumeId=volume_id, Description=f"final snapshot of {volume_id}")


def _create_attachment(_logical_id: str, props: dict, _stack_name: str) -> Created:
    given = known("AWS::EC2::VolumeAttachment", props, {"Device", "InstanceId", "VolumeId"})
    call_ec2("AttachVolume", **given)
    return f"{given['VolumeId']}|{given['InstanceId']}", {}


def _delete_attachment(attachment_id: str, _props: dict) -> None:
    forgiving("InvalidVolume.NotFound", "DetachVolume", VolumeId=attachment_id.partition("|")[0])


# -- AWS::EC2::SecurityGroupIngress, SecurityGroupEgress -----------------

RULE = {"GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "Description"}


def _rule(way: str, peer: str) -> dict[str, Callable]:
    """The handlers of one of the two; `peer` is its property for the group at the other end."""
    def permissions(props: dict) -> dict:
        rule = known(f"AWS::EC2::SecurityGroup{way}", props, RULE | {peer})
        (permission,) = provisioners._ec2_sg_permissions([rule])
        return {"GroupId": props["GroupId"], "IpPermissions": [{k: v for k, v in permission.items() if v != []}]}

    def create(_logical_id: str, props: dict, _stack_name: str) -> Created:
        made = call_ec2(f"AuthorizeSecurityGroup{way}", **permissions(props))["SecurityGroupRules"][0]
        return made["SecurityGroupRuleId"], {"Id": made["SecurityGroupRuleId"]}

    def delete(_rule_id: str, props: dict) -> None:
        forgiving("InvalidGroup.NotFound", f"RevokeSecurityGroup{way}", **permissions(props))

    return {"create": create, "delete": delete}


# -- all of them ---------------------------------------------------------

TYPES = {
    "AWS::EC2::NetworkInterface": {
        "create": _create_interface, "update": _update_interface, "delete": _delete_interface},
    "AWS::EC2::Instance": {"create": _create_instance, "update": _update_instance, "delete": _delete_instance},
    "AWS::EC2::Volume": {
        "create": _create_volume, "update": _update_volume, "delete": _delete_volume, "snapshot": _snapshot_volume},
    "AWS::EC2::VolumeAttachment": {"create": _create_attachment, "delete": _delete_attachment},
    "AWS::EC2::SecurityGroupIngress": _rule("Ingress", "SourceSecurityGroupId"),
    "AWS::EC2::SecurityGroupEgress": _rule("Egress", "DestinationSecurityGroupId"),
}
REPLACING = {
    "AWS::EC2::NetworkInterface": ("PrivateIpAddress", "SubnetId"),
    "AWS::EC2::Instance": INSTANCE_REPLACING,
    "AWS::EC2::Volume": ("AvailabilityZone", "Encrypted", "KmsKeyId", "SnapshotId"),
    "AWS::EC2::VolumeAttachment": ("Device", "InstanceId", "VolumeId"),
    "AWS::EC2::SecurityGroupIngress": tuple(RULE | {"SourceSecurityGroupId"}),
    "AWS::EC2::SecurityGroupEgress": tuple(RULE | {"DestinationSecurityGroupId"}),
}
STACK_TAGGED = ("AWS::EC2::Instance", "AWS::EC2::NetworkInterface", "AWS::EC2::Volume")


def install() -> None:
    """Adds the types to MiniStack's."""
    for resource_type in TYPES:
        if resource_type in provisioners._RESOURCE_HANDLERS:
            raise RuntimeError(f"MiniStack has {resource_type} now: use its own, or say why not")
    provisioners._RESOURCE_HANDLERS.update(TYPES)
    provisioners._REPLACING_PROPERTIES.update(REPLACING)
    provisioners._CONDITIONALLY_REPLACING_PROPERTIES["AWS::EC2::Instance"] = INSTANCE_PERHAPS_REPLACING
    provisioners._STACK_TAG_PROPERTY.update({name: ("Tags", "list") for name in STACK_TAGGED})
