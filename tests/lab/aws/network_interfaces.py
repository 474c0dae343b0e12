"""EC2 network interfaces with addresses that mean something.

Fills a gap: MiniStack gives every interface and instance a random 10.x
address, whatever its subnet and whatever was asked for. Here an address is
the one asked for, checked, or the lowest free one of the subnet.
"""

import ipaddress
import threading

from ministack.services import ec2

# EC2 keeps a subnet's first four addresses and its last for itself.
RESERVED_FIRST = 4
# Held from the choice of an address until its interface is stored.
allocation = threading.RLock()


class Refused(Exception):
    """What EC2 would answer instead: an error code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def subnet_of(subnet_id: str) -> dict:
    """The subnet, or EC2's refusal."""
    subnet = ec2._subnets.get(subnet_id)
    if subnet is None:
        raise Refused("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
    return subnet


def choose_address(subnet_id: str, wanted: str) -> str:
    """The address asked for, or the lowest free one; EC2's refusal if there is none."""
    network = ipaddress.ip_network(subnet_of(subnet_id)["CidrBlock"])
    used = {i["PrivateIpAddress"] for i in ec2._network_interfaces.values() if i["SubnetId"] == subnet_id}
    if wanted:
        if ipaddress.ip_address(wanted) not in network:
            raise Refused("InvalidParameterValue",
                          f"Address {wanted} does not fall within the subnet's address range")
        if wanted in used:
            raise Refused("InvalidIPAddress.InUse", f"Address {wanted} is in use.")
        return wanted
    for number in range(RESERVED_FIRST, network.num_addresses - 1):
        if str(network[number]) not in used:
            return str(network[number])
    raise Refused("InsufficientFreeAddressesInSubnet",
                  f"The specified subnet '{subnet_id}' does not have enough free addresses")


def create(params: dict) -> dict:
    """Creates an interface as CreateNetworkInterface does, at the right address."""
    with allocation:
        address = choose_address(_value(params, "SubnetId") or ec2._DEFAULT_SUBNET_ID,
                                 _value(params, "PrivateIpAddress"))
        known = set(ec2._network_interfaces.keys())
        _original_create(params)
        (created,) = set(ec2._network_interfaces.keys()) - known
        interface = ec2._network_interfaces[created]
        interface["PrivateIpAddress"] = address
    ec2._parse_tag_specs(params, "network-interface", created)
    return interface


def available(interface_id: str) -> dict:
    """An existing interface that no instance uses, or EC2's refusal."""
    interface = ec2._network_interfaces.get(interface_id)
    if interface is None:
        raise Refused("InvalidNetworkInterfaceID.NotFound",
                      f"The networkInterface ID '{interface_id}' does not exist")
    if interface["Status"] != "available":
        raise Refused("InvalidNetworkInterface.InUse", f"Interface: [{interface_id}] in use.")
    return interface


def attach(interface: dict, instance_id: str, index: int, delete_on_termination: bool) -> None:
    """Makes the interface the instance's number `index`."""
    ec2._attach_network_interface({"NetworkInterfaceId": [interface["NetworkInterfaceId"]],
                                   "InstanceId": [instance_id], "DeviceIndex": [str(index)]})
    interface["Attachment"]["DeleteOnTermination"] = delete_on_termination


def attached_to(instance_id: str) -> list[dict]:
    """The instance's interfaces, first device first."""
    held = [i for i in ec2._network_interfaces.values()
            if (i.get("Attachment") or {}).get("InstanceId") == instance_id]
    return sorted(held, key=lambda i: i["Attachment"]["DeviceIndex"])


def release(instance_id: str) -> None:
    """Detaches a terminated instance's interfaces; those made for it go with it."""
    for interface in attached_to(instance_id):
        made_for_it = interface["Attachment"]["DeleteOnTermination"]
        interface["Status"], interface["Attachment"] = "available", None
        if made_for_it:
            del ec2._network_interfaces[interface["NetworkInterfaceId"]]


def _value(params: dict, name: str) -> str:
    return ec2._p(params, name) or ""


def _create_network_interface(params: dict) -> tuple:
    try:
        interface = create(params)
    except Refused as refused:
        return ec2._error(refused.code, refused.message, 400)
    return ec2._xml(200, "CreateNetworkInterfaceResponse",
                    ec2._eni_fields_xml(interface, tag="networkInterface"))


def _delete_network_interface(params: dict) -> tuple:
    interface = ec2._network_interfaces.get(_value(params, "NetworkInterfaceId"))
    if interface and interface["Status"] == "in-use":
        return ec2._error("InvalidNetworkInterface.InUse",
                          f"Network interface '{interface['NetworkInterfaceId']}' is currently in use.", 400)
    return _original_delete(params)


_original_create = ec2._ACTION_MAP["CreateNetworkInterface"]
_original_delete = ec2._ACTION_MAP["DeleteNetworkInterface"]


def install() -> None:
    """Puts the two actions in MiniStack's place."""
    ec2._ACTION_MAP["CreateNetworkInterface"] = _create_network_interface
    ec2._ACTION_MAP["DeleteNetworkInterface"] = _delete_network_interface
