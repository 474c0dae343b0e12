"""CloudFormation resource types of RDS and Aurora, through the RDS API.

Fills gaps: MiniStack's AWS::RDS::DBInstance and DBCluster write records of
their own, at once; it lacks GlobalCluster, DBProxy and DBProxyTargetGroup. As
on CloudFormation a resource is made when RDS says `available`. A property
that no API of RDS takes fails the resource.
"""

import time
from collections.abc import Callable

from ministack.services import rds
from ministack.services.cloudformation import provisioners
from ministack_api import CallFailed, call_rds, input_of
from properties import Created, boolean, changed, known

# Well above what anything takes here.
PATIENCE = 300.0
LOOK_SECONDS = 0.1
BAD = ("failed", "incompatible-parameters", "incompatible-network", "storage-full")
# What CloudFormation calls otherwise than the API does.
RENAMED = {"VPCSecurityGroups": "VpcSecurityGroupIds"}
# Neither makes a difference to a creation, a change or, since what CloudFormation deletes here is gone, a deletion.
WITHOUT_MEANING = {"DeleteAutomatedBackups", "AllowMajorVersionUpgrade", "UseDefaultProcessorFeatures"}
CREATE_ONLY = {"MultiAZ", "BackupRetentionPeriod", "PreferredBackupWindow", "PreferredMaintenanceWindow",
               "EngineVersion", "DBName", "MasterUsername", "MasterUserPassword", "Engine", "StorageEncrypted",
               "SourceRegion", "SourceDBInstanceIdentifier"}


# -- properties and parameters ---------------------------------------------


def shaped(value: object, shape) -> object:
    """A property's value in the type that the API wants."""
    match shape.type_name:
        case "integer" | "long":
            return int(value)
        case "double" | "float":
            return float(value)
        case "boolean":
            return boolean(value)
        case "list":
            return [shaped(v, shape.member) for v in value]
        case "structure":
            return {k: shaped(v, shape.members[k]) for k, v in value.items()}
    return str(value)


def arguments(resource_type: str, operation: str, props: dict, lenient: bool = False) -> dict:
    """The parameters of a call for a resource's properties; ValueError for one that the API does not have."""
    given = {RENAMED.get(name, name): value for name, value in props.items()
             if value not in (None, "", []) and name not in WITHOUT_MEANING}
    if secret := given.pop("MasterUserSecret", None):
        given["MasterUserSecretKmsKeyId"] = secret["KmsKeyId"]
    shapes = input_of("rds", operation)
    if (unknown := set(given) - set(shapes)) and not lenient:
        raise ValueError(f"{resource_type}: the lab does not know {', '.join(sorted(unknown))}")
    return {name: shaped(value, shapes[name]) for name, value in given.items() if name in shapes}


def wait(what: str, status: Callable[[], str | None]) -> None:
    """Waits until RDS says `available`. RuntimeError for what never will be."""
    deadline = time.monotonic() + PATIENCE
    while (now := status()) != "available":
        if now is None or now in BAD:
            raise RuntimeError(f"{what} did not stabilize: it is {now or 'gone'}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not stabilize: it is still {now}")
        time.sleep(LOOK_SECONDS)


def gone(store, name: str) -> None:
    """Waits until a record is gone."""
    deadline = time.monotonic() + PATIENCE
    while name in store:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} is still being deleted")
        time.sleep(LOOK_SECONDS)


def forgiving(missing: str, operation: str, **given) -> None:
    """Deletes; what is gone already is deleted."""
    try:
        call_rds(operation, **given)
    except CallFailed as failed:
        if not str(failed).startswith(missing):
            raise


def retag(arn: str, old: dict, new: dict) -> None:
    """The tags of the new template instead of the old one's."""
    before = {t["Key"]: t["Value"] for t in old.get("Tags") or []}
    after = {t["Key"]: t["Value"] for t in new.get("Tags") or []}
    if lost := sorted(before.keys() - after.keys()):
        call_rds("RemoveTagsFromResource", ResourceName=arn, TagKeys=lost)
    if after:
        call_rds("AddTagsToResource", ResourceName=arn,
                 Tags=[{"Key": key, "Value": value} for key, value in after.items()])


# -- AWS::RDS::DBInstance ----------------------------------------------------


def _create_instance(logical_id: str, props: dict, stack_name: str) -> Created:
    name = props.get("DBInstanceIdentifier") or provisioners._physical_name(
        stack_name, logical_id, lowercase=True, max_len=63)
    props = {**props, "DBInstanceIdentifier": name}
    kind = "AWS::RDS::DBInstance"
    try:
        if props.get("SourceDBInstanceIdentifier") or props.get("SourceDBClusterIdentifier"):
            _create_replica(kind, name, props)
        else:
            operation = "RestoreDBInstanceFromDBSnapshot" if props.get("DBSnapshotIdentifier") else "CreateDBInstance"
            call_rds(operation, **arguments(kind, operation, props))
            _instance_settles(name)
    except (RuntimeError, TimeoutError):
        # MiniStack rolls back what was created, and this one was not.
        _delete_instance(name, props)
        raise
    return name, _instance_attributes(name)


def _create_replica(kind: str, name: str, props: dict) -> None:
    """A replica, and then what only a modification takes: backups of its own."""
    for field in set(props) - set(input_of("rds", "CreateDBInstanceReadReplica")):
        if field not in CREATE_ONLY | WITHOUT_MEANING | set(RENAMED):
            raise ValueError(f"{kind}: the lab does not know {field} of a replica")
    call_rds("CreateDBInstanceReadReplica", **arguments(kind, "CreateDBInstanceReadReplica", props, lenient=True))
    _instance_settles(name)
    later = {field: props[field] for field in (
        "BackupRetentionPeriod", "PreferredBackupWindow", "PreferredMaintenanceWindow") if field in props}
    if later:
        call_rds("ModifyDBInstance", DBInstanceIdentifier=name, ApplyImmediately=True,
                 **arguments(kind, "ModifyDBInstance", later))
        _instance_settles(name)


def _instance_settles(name: str) -> None:
    wait(f"DB instance {name}", lambda: (rds._instances.get(name) or {}).get("DBInstanceStatus"))


def _instance_attributes(name: str) -> dict:
    record = rds._instances[name]
    secret = record.get("MasterUserSecret") or {}
    return {"Endpoint.Address": record["Endpoint"]["Address"], "Endpoint.Port": str(record["Endpoint"]["Port"]),
            "Endpoint.HostedZoneId": record["Endpoint"]["HostedZoneId"], "DBInstanceArn": record["DBInstanceArn"],
            "DbiResourceId": record["DbiResourceId"], "MasterUserSecret.SecretArn": secret.get("SecretArn", "")}


def _update_instance(name: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Created:
    if provisioners._requires_replacement("AWS::RDS::DBInstance", old, new):
        created = _create_instance(logical_id or name, new, stack_name)
        provisioners._delete_predecessor(_delete_instance, name, old)
        return created
    if old.get("SourceDBInstanceIdentifier") and not new.get("SourceDBInstanceIdentifier"):
        # By comparing templates, as CloudFormation does: it does not look whether it is one still.
        call_rds("PromoteReadReplica", DBInstanceIdentifier=name)
        _instance_settles(name)
    elif old.get("SourceDBInstanceIdentifier") != new.get("SourceDBInstanceIdentifier"):
        raise ValueError(f"AWS::RDS::DBInstance: {name} cannot be given another source in place")
    retag(rds._instances[name]["DBInstanceArn"], old, new)
    different = changed(old, new) - {"Tags", "SourceDBInstanceIdentifier", "SourceRegion", "AvailabilityZone"}
    _modify("AWS::RDS::DBInstance", "ModifyDBInstance", {"DBInstanceIdentifier": name}, different, old, new)
    _instance_settles(name)
    return name, _instance_attributes(name)


def _modify(kind: str, operation: str, which: dict, different: set[str], old: dict, new: dict) -> None:
    """Changes the properties that differ; those that are gone stay as they are, as on RDS."""
    given = {field: new[field] for field in different if field in new}
    if "EnableCloudwatchLogsExports" in different:
        given.pop("EnableCloudwatchLogsExports", None)
        before, after = (set(p.get("EnableCloudwatchLogsExports") or []) for p in (old, new))
        given["CloudwatchLogsExportConfiguration"] = {"EnableLogTypes": sorted(after - before),
                                                      "DisableLogTypes": sorted(before - after)}
    if given:
        call_rds(operation, **which, ApplyImmediately=True, **arguments(kind, operation, given))


def _delete_instance(name: str, _props: dict) -> None:
    forgiving("DBInstanceNotFound", "DeleteDBInstance", DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    gone(rds._instances, name)


# -- AWS::RDS::DBCluster -------------------------------------------------------


def _create_cluster(logical_id: str, props: dict, stack_name: str) -> Created:
    name = props.get("DBClusterIdentifier") or provisioners._physical_name(
        stack_name, logical_id, lowercase=True, max_len=63)
    call_rds("CreateDBCluster", **arguments("AWS::RDS::DBCluster", "CreateDBCluster",
                                            {**props, "DBClusterIdentifier": name}))
    _cluster_settles(name)
    return name, _cluster_attributes(name)


def _cluster_settles(name: str) -> None:
    wait(f"DB cluster {name}", lambda: (rds._clusters.get(name) or {}).get("Status"))


def _cluster_attributes(name: str) -> dict:
    record = rds._clusters[name]
    secret = record.get("MasterUserSecret") or {}
    return {"Endpoint.Address": record["Endpoint"], "Endpoint.Port": str(record["Port"]),
            "ReadEndpoint.Address": record["ReaderEndpoint"], "DBClusterArn": record["DBClusterArn"],
            "DBClusterResourceId": record["DbClusterResourceId"],
            "MasterUserSecret.SecretArn": secret.get("SecretArn", "")}


def _update_cluster(name: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Created:
    if provisioners._requires_replacement("AWS::RDS::DBCluster", old, new):
        created = _create_cluster(logical_id or name, new, stack_name)
        provisioners._delete_predecessor(_delete_cluster, name, old)
        return created
    retag(rds._clusters[name]["DBClusterArn"], old, new)
    different = changed(old, new) - {"Tags", "GlobalClusterIdentifier"}
    _modify("AWS::RDS::DBCluster", "ModifyDBCluster", {"DBClusterIdentifier": name}, different, old, new)
    _cluster_settles(name)
    return name, _cluster_attributes(name)


def _delete_cluster(name: str, props: dict) -> None:
    """One of a global cluster that the template names leaves it first, as on CloudFormation."""
    record = rds._clusters.get(name)
    if record and props.get("GlobalClusterIdentifier") and record.get("GlobalClusterIdentifier"):
        call_rds("RemoveFromGlobalCluster", GlobalClusterIdentifier=record["GlobalClusterIdentifier"],
                 DbClusterIdentifier=record["DBClusterArn"])
        _cluster_settles(name)
    forgiving("DBClusterNotFoundFault", "DeleteDBCluster", DBClusterIdentifier=name, SkipFinalSnapshot=True)


# -- AWS::RDS::GlobalCluster -----------------------------------------------------


def _create_global(logical_id: str, props: dict, stack_name: str) -> Created:
    name = props.get("GlobalClusterIdentifier") or provisioners._physical_name(
        stack_name, logical_id, lowercase=True, max_len=63)
    call_rds("CreateGlobalCluster", **arguments("AWS::RDS::GlobalCluster", "CreateGlobalCluster",
                                                {**props, "GlobalClusterIdentifier": name}))
    return name, _global_attributes(name)


def _global_attributes(name: str) -> dict:
    from rds_names import global_endpoint  # which needs the databases

    return {"GlobalEndpoint.Address": global_endpoint(rds._global_clusters[name])}


def _update_global(name: str, old: dict, new: dict, _stack_name: str) -> Created:
    different = changed(old, new) - {"Tags", "SourceDBClusterIdentifier"}
    retag(rds._global_clusters[name]["GlobalClusterArn"], old, new)
    given = {field: new[field] for field in different if field in new}
    if given:
        call_rds("ModifyGlobalCluster", GlobalClusterIdentifier=name,
                 **arguments("AWS::RDS::GlobalCluster", "ModifyGlobalCluster", given))
    return name, _global_attributes(name)


def _delete_global(name: str, _props: dict) -> None:
    """Its last member leaves it first, as on CloudFormation."""
    world = rds._global_clusters.get(name)
    members = world["GlobalClusterMembers"] if world else []
    if len(members) == 1:
        call_rds("RemoveFromGlobalCluster", GlobalClusterIdentifier=name,
                 DbClusterIdentifier=members[0]["DBClusterArn"])
    forgiving("GlobalClusterNotFoundFault", "DeleteGlobalCluster", GlobalClusterIdentifier=name)


# -- AWS::RDS::DBProxy, DBProxyTargetGroup ------------------------------------------


def _create_proxy(_logical_id: str, props: dict, _stack_name: str) -> Created:
    call_rds("CreateDBProxy", **arguments("AWS::RDS::DBProxy", "CreateDBProxy", props))
    return props["DBProxyName"], _proxy_attributes(props["DBProxyName"])


def _proxy_attributes(name: str) -> dict:
    record = rds._db_proxies[name]
    return {"Endpoint": record["Endpoint"], "DBProxyArn": record["DBProxyArn"], "VpcId": record.get("VpcId", "")}


def _update_proxy(name: str, old: dict, new: dict, _stack_name: str) -> Created:
    retag(rds._db_proxies[name]["DBProxyArn"], old, new)
    given = {field: new[field] for field in changed(old, new) - {"Tags"} if field in new}
    if "VpcSecurityGroupIds" in given:
        given["SecurityGroups"] = given.pop("VpcSecurityGroupIds")
    if given:
        call_rds("ModifyDBProxy", DBProxyName=name, **arguments("AWS::RDS::DBProxy", "ModifyDBProxy", given))
    return name, _proxy_attributes(name)


def _delete_proxy(name: str, _props: dict) -> None:
    forgiving("DBProxyNotFoundFault", "DeleteDBProxy", DBProxyName=name)


TARGET_GROUP = {"DBProxyName", "TargetGroupName", "DBInstanceIdentifiers", "DBClusterIdentifiers",
                "ConnectionPoolConfigurationInfo"}
POOL = "ConnectionPoolConfigurationInfo"


def _create_target_group(_logical_id: str, props: dict, _stack_name: str) -> Created:
    props = known("AWS::RDS::DBProxyTargetGroup", props, TARGET_GROUP)
    which = {"DBProxyName": props["DBProxyName"], "TargetGroupName": props["TargetGroupName"]}
    targets = {key: props[key] for key in ("DBInstanceIdentifiers", "DBClusterIdentifiers") if props.get(key)}
    if targets:
        call_rds("RegisterDBProxyTargets", **which, **targets)
    if POOL in props:
        pool = shaped(props[POOL], input_of("rds", "ModifyDBProxyTargetGroup")["ConnectionPoolConfig"])
        call_rds("ModifyDBProxyTargetGroup", **which, ConnectionPoolConfig=pool)
    shown = call_rds("DescribeDBProxyTargetGroups", DBProxyName=which["DBProxyName"])["TargetGroups"][0]
    return shown["TargetGroupArn"], {"TargetGroupArn": shown["TargetGroupArn"]}


def _update_target_group(arn: str, old: dict, new: dict, stack_name: str) -> Created:
    _delete_target_group(arn, old)
    return _create_target_group("", new, stack_name)


def _delete_target_group(_arn: str, props: dict) -> None:
    targets = {key: props[key] for key in ("DBInstanceIdentifiers", "DBClusterIdentifiers") if props.get(key)}
    if targets and props["DBProxyName"] in rds._db_proxies:
        forgiving("DBProxyTargetNotFoundFault", "DeregisterDBProxyTargets", DBProxyName=props["DBProxyName"], **targets)


# -- all of them ---------------------------------------------------------------------

OWN = {
    "AWS::RDS::GlobalCluster": {"create": _create_global, "update": _update_global, "delete": _delete_global},
    "AWS::RDS::DBProxy": {"create": _create_proxy, "update": _update_proxy, "delete": _delete_proxy},
    "AWS::RDS::DBProxyTargetGroup": {
        "create": _create_target_group, "update": _update_target_group, "delete": _delete_target_group},
}
INSTEAD = {
    "AWS::RDS::DBInstance": {"create": _create_instance, "update": _update_instance, "delete": _delete_instance,
                             "update_with_logical_id": True},
    "AWS::RDS::DBCluster": {"create": _create_cluster, "update": _update_cluster, "delete": _delete_cluster,
                            "update_with_logical_id": True},
}
REPLACING = {
    "AWS::RDS::GlobalCluster": ("GlobalClusterIdentifier", "SourceDBClusterIdentifier", "StorageEncrypted", "Engine"),
    "AWS::RDS::DBProxy": ("DBProxyName", "EngineFamily", "VpcSubnetIds"),
    "AWS::RDS::DBProxyTargetGroup": ("DBProxyName", "TargetGroupName"),
}
STACK_TAGGED = ("AWS::RDS::GlobalCluster", "AWS::RDS::DBProxy")


def _create_proxy_action(params: dict) -> tuple:
    """CreateDBProxy, whose endpoint is a name that the lab answers."""
    answer = _original_create_proxy(params)
    record = rds._db_proxies.get(rds._p(params, "DBProxyName"))
    if answer[0] == 200 and record:
        from rds_databases import endpoint_of

        before, record["Endpoint"] = record["Endpoint"], endpoint_of(record["DBProxyName"], "proxy-lab")
        return answer[0], answer[1], answer[2].replace(before.encode(), record["Endpoint"].encode())
    return answer


_original_create_proxy = rds._ACTION_MAP["CreateDBProxy"]


def install() -> None:
    """Puts all of this in MiniStack's place."""
    handlers = provisioners._RESOURCE_HANDLERS
    for resource_type in OWN:
        if resource_type in handlers:
            raise RuntimeError(f"MiniStack has {resource_type} now: use its own, or say why not")
    handlers.update(OWN)
    for resource_type, ours in INSTEAD.items():
        handlers[resource_type] = {**handlers[resource_type], **ours}
    provisioners._REPLACING_PROPERTIES.update(REPLACING)
    provisioners._STACK_TAG_PROPERTY.update({name: ("Tags", "list") for name in STACK_TAGGED})
    rds._ACTION_MAP["CreateDBProxy"] = _create_proxy_action
