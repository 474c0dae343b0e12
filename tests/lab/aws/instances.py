"""EC2 instances that boot, run, stop and say so.

Fills gaps: MiniStack changes states at once and in silence, puts every
instance into the first Availability Zone at a random address, forgets its
network interfaces, and knows nothing of machines. Here each change of state
happens when it does on EC2, emits the event EC2 emits, and a machine of
`members` follows it.
"""

import base64
import re
import threading
import time
from collections.abc import Callable

import network_interfaces
import settings
from members import Member, members
from ministack.services import ec2
from ministack_api import arn, emit, in_background
from network_interfaces import Refused

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
# Before it is encoded.
MAX_USER_DATA = 16384


# -- states --------------------------------------------------------------


def enter(instance: dict, name: str) -> dict:
    """Puts an instance into a state and emits the event; returns the new state.

    States are told apart by identity: who set one may later ask whether it is
    still the same.
    """
    state = {"Code": CODES[name], "Name": name}
    instance["State"] = state
    instance_id = instance["InstanceId"]
    emit("aws.ec2", "EC2 Instance State-change Notification",
         {"instance-id": instance_id, "state": name}, [arn("ec2", f"instance/{instance_id}")])
    return state


def _start(instance: dict, _: dict) -> None:
    state = enter(instance, "pending")
    member = members[instance["InstanceId"]]
    member.power_on()

    def run() -> None:
        time.sleep(settings.START_SECONDS)
        if instance["State"] is state:
            enter(instance, "running")

    in_background(run, f"start-{member.instance_id}")


def _stop(instance: dict, params: dict) -> None:
    """Unless it is forced, a stop asks the host first, and a host that hangs does not answer."""
    member = members[instance["InstanceId"]]
    forced = ec2._p(params, "Force") == "true" or ec2._p(params, "SkipOsShutdown") == "true"

    def kill() -> None:
        if not forced:
            member.wait_for_answer(settings.UNANSWERED_SECONDS)
        member.power_off()

    _halt(instance, "stopping", "stopped", kill)


def _terminate(instance: dict, _: dict) -> None:
    instance_id = instance["InstanceId"]

    def discard() -> None:
        members[instance_id].discard()
        network_interfaces.release(instance_id)
        _release_volumes(instance_id)

    # MiniStack forgets a terminated instance a minute after this.
    instance["_terminated_at"] = time.time() + settings.STOP_SECONDS
    _halt(instance, "shutting-down", "terminated", discard)


def _halt(instance: dict, meanwhile: str, finally_: str, kill: Callable[[], object]) -> None:
    """Kills; the state follows after EC2's delay."""
    began = time.monotonic()
    state = enter(instance, meanwhile)

    def run() -> None:
        kill()
        time.sleep(max(0.0, began + settings.STOP_SECONDS - time.monotonic()))
        if instance["State"] is state:
            enter(instance, finally_)

    in_background(run, f"{meanwhile}-{instance['InstanceId']}")


def _release_volumes(instance_id: str) -> None:
    """Detaches a terminated instance's volumes; those made for it go with it."""
    for volume in list(ec2._volumes.values()):
        for attachment in volume["Attachments"]:
            if attachment["InstanceId"] != instance_id:
                continue
            if attachment["DeleteOnTermination"]:
                del ec2._volumes[volume["VolumeId"]]
            else:
                volume["State"], volume["Attachments"] = "available", []


# -- changing states over the API ----------------------------------------


def _named(params: dict) -> list[dict]:
    """The instances a request names, or EC2's refusal."""
    found = []
    for instance_id in ec2._parse_member_list(params, "InstanceId"):
        instance = ec2._instances.get(instance_id)
        if instance is None:
            raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        found.append(instance)
    return found


def _transition(action: str, wrong: set[str], change: dict[str, Callable[[dict, dict], None]]) -> None:
    """Replaces an action: refused in states `wrong`, does `change` in some, nothing in the others."""
    def handler(params: dict) -> tuple:
        try:
            instances = _named(params)
            _refuse_in(instances, wrong, action)
        except Refused as refused:
            return ec2._error(refused.code, refused.message, 400)
        items = ""
        for instance in instances:
            before = instance["State"]
            change.get(before["Name"], lambda *_: None)(instance, params)
            items += (f"<item><instanceId>{instance['InstanceId']}</instanceId>"
                      f"{_state_xml('previousState', before)}{_state_xml('currentState', instance['State'])}</item>")
        return ec2._xml(200, f"{action}Response", f"<instancesSet>{items}</instancesSet>")

    ec2._ACTION_MAP[action] = handler


def _refuse_in(instances: list[dict], wrong: set[str], action: str) -> None:
    for instance in instances:
        if instance["State"]["Name"] in wrong:
            raise Refused("IncorrectInstanceState",
                          f"The instance '{instance['InstanceId']}' is not in a state from which "
                          f"{action} works: it is {instance['State']['Name']}")


def _state_xml(tag: str, state: dict) -> str:
    return f"<{tag}><code>{state['Code']}</code><name>{state['Name']}</name></{tag}>"


def _reboot_instances(params: dict) -> tuple:
    """Kills and boots; EC2 says `running` throughout and emits nothing."""
    try:
        instances = _named(params)
        _refuse_in(instances, set(CODES) - {"pending", "running"}, "RebootInstances")
    except Refused as refused:
        return ec2._error(refused.code, refused.message, 400)
    for instance in instances:
        member = members[instance["InstanceId"]]
        in_background(lambda member=member: (member.wait_for_answer(settings.UNANSWERED_SECONDS), member.reboot()),
                      f"reboot-{member.instance_id}")
    return ec2._xml(200, "RebootInstancesResponse", "<return>true</return>")


# -- RunInstances --------------------------------------------------------

# Everything after the ids is there too, but with MiniStack's invented values.
_IDS = re.compile(r"<instanceId>(i-[0-9a-f]+)</instanceId>")
_launch = threading.RLock()


def _run_instances(params: dict) -> tuple:
    """Launches as EC2 does: own or given interface, the subnet's zone, a machine that boots."""
    try:
        with _launch, network_interfaces.allocation:
            _refuse_missing_profile(params)
            _refuse_long_user_data(params)
            given = _given_interface(params)
            params = {**params, **_placement(params, given)}
            answer = _original_run(params)
            if answer[0] != 200:
                return answer
            launched = [ec2._instances[i] for i in dict.fromkeys(_IDS.findall(answer[2].decode()))]
            _furnish_all(launched, params, given)
    except Refused as refused:
        return ec2._error(refused.code, refused.message, 400)
    for instance in launched:
        user_data = base64.b64decode(instance["UserData"])
        members[instance["InstanceId"]] = Member(
            instance["InstanceId"], instance["PrivateIpAddress"], user_data)
        _start(instance, params)
    shown = "".join(ec2._instance_xml(instance) for instance in launched)
    return ec2._xml(200, "RunInstancesResponse",
                    f"<reservationId>r-{launched[0]['InstanceId'][2:]}</reservationId>"
                    f"<groupSet/><instancesSet>{shown}</instancesSet>")


def _refuse_missing_profile(params: dict) -> None:
    """EC2 refuses a profile that IAM does not have; MiniStack invents one."""
    name = ec2._p(params, "IamInstanceProfile.Name")
    profile_arn = ec2._p(params, "IamInstanceProfile.Arn")
    if (name or profile_arn) and ec2._resolve_iam_instance_profile(profile_arn, name)[1]:
        raise Refused("InvalidParameterValue", f"Invalid IAM Instance Profile: {name or profile_arn}")


def _refuse_long_user_data(params: dict) -> None:
    if len(base64.b64decode(ec2._p(params, "UserData"))) > MAX_USER_DATA:
        raise Refused("InvalidParameterValue", f"User data is limited to {MAX_USER_DATA} bytes")


def _given_interface(params: dict) -> dict | None:
    """The interface a launch names as its first, if it names one."""
    interface_id = ec2._p(params, "NetworkInterface.1.NetworkInterfaceId")
    if ec2._p(params, "NetworkInterface.2.DeviceIndex"):
        raise Refused("UnsupportedOperation", "the lab launches with one network interface")
    if not interface_id:
        return None
    if ec2._p(params, "MaxCount") != "1":
        raise Refused("InvalidParameterCombination", "A network interface can be given to one instance only")
    if ec2._p(params, "SubnetId") or ec2._p(params, "SecurityGroupId.1") or ec2._p(params, "PrivateIpAddress"):
        raise Refused("InvalidParameterCombination",
                      "Network interfaces and an instance-level subnet, address or security groups "
                      "may not be specified on the same request")
    return network_interfaces.available(interface_id)


def _placement(params: dict, given: dict | None) -> dict:
    """Subnet and security groups in the form in which MiniStack reads them."""
    if given:
        groups = [group["GroupId"] for group in given["Groups"]]
        subnet_id = given["SubnetId"]
    else:
        groups = (ec2._parse_member_list(params, "SecurityGroupId")
                  or ec2._parse_member_list(params, "NetworkInterface.1.SecurityGroupId"))
        subnet_id = (ec2._p(params, "SubnetId") or ec2._p(params, "NetworkInterface.1.SubnetId")
                     or ec2._DEFAULT_SUBNET_ID)
    network_interfaces.subnet_of(subnet_id)
    return {"SubnetId": [subnet_id], **{f"SecurityGroupId.{n}": [g] for n, g in enumerate(groups, 1)}}


def _furnish_all(launched: list[dict], params: dict, given: dict | None) -> None:
    """Furnishes all or, where EC2 would refuse one, leaves none behind."""
    try:
        for instance in launched:
            _furnish(instance, params, given)
    except Refused:
        for instance in launched:
            network_interfaces.release(instance["InstanceId"])
            ec2._discard_instance_records(instance)
        raise


def _furnish(instance: dict, params: dict, given: dict | None) -> None:
    """Gives a new instance its interface, address, zone, disks and metadata options."""
    instance_id, subnet_id = instance["InstanceId"], instance["SubnetId"]
    interface = given or network_interfaces.create({
        "SubnetId": [subnet_id],
        "PrivateIpAddress": [ec2._p(params, "PrivateIpAddress")],
        **{f"SecurityGroupId.{n}": [g["GroupId"]] for n, g in enumerate(instance["SecurityGroups"], 1)},
    })
    network_interfaces.attach(interface, instance_id, 0, delete_on_termination=given is None)
    address, zone = interface["PrivateIpAddress"], ec2._subnets[subnet_id]["AvailabilityZone"]
    instance["PrivateIpAddress"] = address
    instance["PrivateDnsName"] = f"ip-{address.replace('.', '-')}.{settings.REGION}.compute.internal"
    instance["PublicIpAddress"] = instance["PublicDnsName"] = ""
    instance["Placement"]["AvailabilityZone"] = zone
    instance["_http_tokens"] = ec2._p(params, "MetadataOptions.HttpTokens") or "optional"
    for mapping in instance["BlockDeviceMappings"]:
        root = ec2._volumes[mapping["Ebs"]["VolumeId"]]
        root["AvailabilityZone"] = zone
        _size_disk(root, mapping, params)
        ec2._parse_tag_specs(params, "volume", root["VolumeId"])


def _size_disk(volume: dict, shown: dict, params: dict) -> None:
    """Applies the block device mapping of the root disk. Others are refused: see VolumeAttachment."""
    if ec2._p(params, "BlockDeviceMapping.2.DeviceName"):
        raise Refused("UnsupportedOperation", "the lab launches with one disk; attach others as volumes")
    if device := ec2._p(params, "BlockDeviceMapping.1.DeviceName"):
        prefix = "BlockDeviceMapping.1.Ebs"
        shown["DeviceName"] = volume["Attachments"][0]["Device"] = device
        volume["Size"] = int(ec2._p(params, f"{prefix}.VolumeSize") or volume["Size"])
        volume["VolumeType"] = ec2._p(params, f"{prefix}.VolumeType") or volume["VolumeType"]
        volume["Encrypted"] = ec2._p(params, f"{prefix}.Encrypted") == "true"


# -- what DescribeInstances shows ----------------------------------------


def _instance_xml(instance: dict) -> str:
    """MiniStack's view plus what it leaves out: interfaces and metadata options."""
    interfaces = "".join(
        ec2._eni_fields_xml(interface).replace("<groupSet></groupSet>", "")
        for interface in network_interfaces.attached_to(instance["InstanceId"]))
    more = (f"<networkInterfaceSet>{interfaces}</networkInterfaceSet>"
            f"<metadataOptions><httpTokens>{instance.get('_http_tokens', 'optional')}</httpTokens>"
            "<httpEndpoint>enabled</httpEndpoint></metadataOptions>")
    head, end, tail = _original_xml(instance).rpartition("</item>")
    return head + more + end + tail


# Filters MiniStack does not know it ignores, and then shows everything.
_FILTERS: dict[str, Callable[[dict], str]] = {
    "instance-id": lambda i: i["InstanceId"],
    "vpc-id": lambda i: i["VpcId"],
    "subnet-id": lambda i: i["SubnetId"],
    "private-ip-address": lambda i: i["PrivateIpAddress"],
    "network-interface.addresses.private-ip-address": lambda i: i["PrivateIpAddress"],
    "availability-zone": lambda i: i["Placement"]["AvailabilityZone"],
}
_KNOWN = {"instance-state-name", "instance-type", "image-id", "tag-key"}


def _matches_filters(instance: dict, filters: dict) -> bool:
    for name, values in filters.items():
        if name in _FILTERS:
            if _FILTERS[name](instance) not in values:
                return False
        elif name not in _KNOWN and not name.startswith("tag:"):
            raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid, or unknown to the lab")
    return _original_filters(instance, filters)


def _describe_instances(params: dict) -> tuple:
    try:
        return _original_describe(params)
    except Refused as refused:
        return ec2._error(refused.code, refused.message, 400)


_original_run = ec2._ACTION_MAP["RunInstances"]
_original_describe = ec2._ACTION_MAP["DescribeInstances"]
_original_xml = ec2._instance_xml
_original_filters = ec2._matches_filters


def install() -> None:
    """Puts all of this in MiniStack's place."""
    ec2._instance_xml = _instance_xml
    ec2._matches_filters = _matches_filters
    ec2._ACTION_MAP["RunInstances"] = _run_instances
    ec2._ACTION_MAP["DescribeInstances"] = _describe_instances
    ec2._ACTION_MAP["RebootInstances"] = _reboot_instances
    # Stopping what is stopped is fine and emits nothing, as on EC2.
    _transition("StopInstances", {"pending", "shutting-down", "terminated"}, {"running": _stop})
    _transition("StartInstances", {"stopping", "shutting-down", "terminated"}, {"stopped": _start})
    _transition("TerminateInstances", set(), {
        state: _terminate for state in ("pending", "running", "stopping", "stopped")})
