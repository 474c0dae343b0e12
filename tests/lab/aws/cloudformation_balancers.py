"""CloudFormation's Network Load Balancers and their target groups.

Fills gaps: MiniStack gives every load balancer the ARN, the DNS name and the
attributes of an Application Load Balancer, forgets the targets that a template
registers, and the listener's place is in the same tree.
"""

from ministack.services import alb, ec2
from ministack.services.cloudformation import provisioners
from ministack.core.responses import get_region
from ministack_api import CallFailed
from properties import Created

LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
# What a Network Load Balancer and its target groups have when nothing else is said.
BALANCER_DEFAULTS = {
    "access_logs.s3.enabled": "false", "deletion_protection.enabled": "false",
    "load_balancing.cross_zone.enabled": "false", "dns_record.client_routing_policy": "any_availability_zone",
}
GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300", "deregistration_delay.connection_termination.enabled": "false",
    "preserve_client_ip.enabled": "true", "proxy_protocol_v2.enabled": "false", "stickiness.enabled": "false",
    "stickiness.type": "source_ip", "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "target_health_state.unhealthy.connection_termination.enabled": "true",
    "target_health_state.unhealthy.draining_interval_seconds": "0",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
# A health check of a Network Load Balancer, where a template leaves it open.
CHECK_DEFAULTS = {"HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 10, "HealthyThresholdCount": 5,
                  "UnhealthyThresholdCount": 2, "HealthCheckProtocol": "TCP"}
PROTOCOLS = {"TCP", "TLS", "UDP", "TCP_UDP"}


# -- load balancers ------------------------------------------------------


def _create_balancer(logical_id: str, props: dict, stack_name: str) -> Created:
    arn, attributes = _original[LOAD_BALANCER]["create"](logical_id, props, stack_name)
    if props.get("Type") != "network":
        return arn, attributes
    balancer = alb._lbs.pop(arn)
    attributes = {name: value.replace("loadbalancer/app/", "loadbalancer/net/") if isinstance(value, str) else value
                  for name, value in attributes.items()}
    unknown = [subnet for subnet in balancer["Subnets"] if subnet not in ec2._subnets]
    if unknown or not balancer["Subnets"]:
        raise CallFailed(f"SubnetNotFound: {', '.join(unknown) or 'no subnet is given'}")
    name, new = balancer["LoadBalancerName"], attributes["Arn"]
    number = new.rpartition("/")[2]
    dns_name = f"{name}-{number}.elb.{get_region()}.amazonaws.com"
    balancer |= {"LoadBalancerArn": new, "DNSName": dns_name, "VpcId": ec2._subnets[balancer["Subnets"][0]]["VpcId"]}
    alb._lbs[new], alb._tags[new] = balancer, alb._tags.pop(arn)
    alb._lb_attrs.pop(arn)
    alb._lb_attrs[new] = _attributes(BALANCER_DEFAULTS, props.get("LoadBalancerAttributes"))
    return new, {**attributes, "DNSName": dns_name, "LoadBalancerFullName": f"net/{name}/{number}"}


def _update_balancer(arn: str, old: dict, new: dict, stack_name: str, logical_id: str) -> Created:
    """In place; its full name is not the one that MiniStack would say."""
    updated, attributes = _original[LOAD_BALANCER]["update"](arn, old, new, stack_name, logical_id)
    if new.get("Type") == "network":
        attributes["LoadBalancerFullName"] = updated.partition("loadbalancer/")[2]
        alb._lb_attrs[updated] = _attributes(BALANCER_DEFAULTS, new.get("LoadBalancerAttributes"))
    return updated, attributes


def _delete_balancer(arn: str, props: dict) -> None:
    if {"Key": "deletion_protection.enabled", "Value": "true"} in alb._lb_attrs.get(arn, []):
        raise CallFailed(f"OperationNotPermitted: Load balancer '{arn}' cannot be deleted because deletion "
                         "protection is enabled")
    _original[LOAD_BALANCER]["delete"](arn, props)


def _attributes(defaults: dict[str, str], given: list[dict] | None) -> list[dict]:
    """All attributes, those of the template among them; refuses one that ELB does not have."""
    asked = {a["Key"]: str(a["Value"]).lower() for a in given or []}
    if unknown := set(asked) - set(defaults):
        raise CallFailed(f"InvalidConfigurationRequest: attribute {', '.join(sorted(unknown))} is not recognized")
    return [{"Key": key, "Value": value} for key, value in (defaults | asked).items()]


# -- target groups -------------------------------------------------------


def _create_group(logical_id: str, props: dict, stack_name: str) -> Created:
    network = props.get("Protocol") in PROTOCOLS
    arn, attributes = _original[TARGET_GROUP]["create"](
        logical_id, {**CHECK_DEFAULTS, **props} if network else props, stack_name)
    try:
        _register(arn, {}, props)
        if network:
            alb._tg_attrs[arn] = _attributes(GROUP_DEFAULTS, props.get("TargetGroupAttributes"))
    except CallFailed:
        _original[TARGET_GROUP]["delete"](arn, props)
        raise
    return arn, attributes


def _update_group(arn: str, old: dict, new: dict, stack_name: str, logical_id: str) -> Created:
    network = new.get("Protocol") in PROTOCOLS
    updated, attributes = _original[TARGET_GROUP]["update"](
        arn, old, {**CHECK_DEFAULTS, **new} if network else new, stack_name, logical_id)
    _register(updated, old if updated == arn else {}, new)
    if network:
        alb._tg_attrs[updated] = _attributes(GROUP_DEFAULTS, new.get("TargetGroupAttributes"))
    return updated, attributes


def _register(arn: str, old: dict, new: dict) -> None:
    """Registers the template's targets, and takes away those that it no longer names."""
    def targets(props: dict) -> dict[str, dict]:
        return {t["Id"]: {"Id": t["Id"], **({"Port": int(t["Port"])} if t.get("Port") else {})}
                for t in props.get("Targets") or []}

    wanted, known = targets(new), targets(old)
    for target in wanted if new.get("TargetType", "instance") == "instance" else ():
        if target not in ec2._instances:
            raise CallFailed(f"InvalidTarget: The following targets are not in a running state: '{target}'")
    kept = [t for t in alb._targets.get(arn, []) if t["Id"] not in known and t["Id"] not in wanted]
    alb._targets[arn] = kept + list(wanted.values())


_original = {name: provisioners._RESOURCE_HANDLERS[name] for name in (LOAD_BALANCER, TARGET_GROUP)}


def install() -> None:
    """Puts all of this in MiniStack's place."""
    known = provisioners._RESOURCE_HANDLERS
    known[LOAD_BALANCER] = {"create": _create_balancer, "update": _update_balancer, "update_with_logical_id": True,
                            "delete": _delete_balancer}
    known[TARGET_GROUP] = {"create": _create_group, "update": _update_group, "update_with_logical_id": True,
                           "delete": _original[TARGET_GROUP]["delete"]}
