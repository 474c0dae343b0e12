"""IAM conditions that the fleet's policies use and MiniStack cannot evaluate.

Fills gaps, for AUTH=true: without these a policy with such a condition either
denies everything (a tag of an EC2 resource) or limits nothing
(`ForAllValues` over a key that is not there).

What MiniStack still does not check: `iam:PassRole` and the rights of the
service role of a CloudFormation stack, whose resources it makes with all
rights; resource policies of functions (`lambda:InvokeFunction` by a rule).
"""

import json
from collections.abc import Iterator
from xml.etree import ElementTree

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import dynamodb, ec2, tagging
from ministack_api import arn

_EC2_STORES = {
    "instance": ec2._instances,
    "volume": ec2._volumes,
    "network-interface": ec2._network_interfaces,
    "security-group": ec2._security_groups,
    "network-acl": ec2._network_acls,
    "subnet": ec2._subnets,
}


# -- aws:ResourceTag of EC2 resources ------------------------------------


def _ec2_tags() -> Iterator[tuple[str, list[dict]]]:
    for kind, store in _EC2_STORES.items():
        for resource_id in store.keys():
            yield arn("ec2", f"{kind}/{resource_id}"), ec2._tags.get(resource_id) or []


# -- several instances in one call ---------------------------------------


def _ec2_resources(params: dict, region: str, account: str) -> list[str]:
    """Every instance a call names; MiniStack checks only the first. Of a network ACL, it and the subnet."""
    if params.get("Action", [""])[0] == "ReplaceNetworkAclAssociation":
        association = ec2._p(params, "AssociationId")
        subnets = [a["SubnetId"] for acl in ec2._network_acls.values() for a in acl["Associations"]
                   if a["NetworkAclAssociationId"] == association]
        return [f"arn:aws:ec2:{region}:{account}:{resource}" for resource in (
            f"network-acl/{ec2._p(params, 'NetworkAclId')}", *(f"subnet/{subnet}" for subnet in subnets))]
    instances = [f"arn:aws:ec2:{region}:{account}:instance/{i}"
                 for i in ec2._parse_member_list(params, "InstanceId")]
    return instances or _original_ec2_resources(params, region, account)


# -- parameters by path --------------------------------------------------


def _resource_arn(service: str, method: str, path: str, headers: dict, body: bytes, params: dict,
                  region: str, account: str) -> str:
    """The resource a call is checked on; for GetParametersByPath, SendCommand and GetHealthCheck MiniStack has `*`."""
    if service == "route53" and "/healthcheck/" in path:
        return f"arn:aws:route53:::healthcheck/{path.rsplit('/healthcheck/', 1)[1].split('/')[0]}"
    if service == "ec2" and params.get("Action", [""])[0] == "ReplaceNetworkAclAssociation":
        return f"arn:aws:ec2:{region}:{account}:network-acl/{ec2._p(params, 'NetworkAclId')}"
    target = headers.get("x-amz-target", "") if service == "ssm" else ""
    if target.endswith(".GetParametersByPath"):
        return f"arn:aws:ssm:{region}:{account}:parameter{json.loads(body)['Path']}"
    if target.endswith(".SendCommand"):
        document = json.loads(body).get("DocumentName") or ""
        # A document of AWS's own is in no account.
        return document if document.startswith("arn:") else (
            f"arn:aws:ssm:{region}:{'' if document.startswith('AWS-') else account}:document/{document}")
    return _original_resource_arn(service, method, path, headers, body, params, region, account)


# -- commands to instances -------------------------------------------------


def refuse_command(headers: dict, query: dict, instance_ids: list[str]) -> tuple | None:
    """IAM's refusal of SendCommand on one of the instances; the document has been checked before.

    The tags of an instance go by two names: `aws:ResourceTag`, which MiniStack
    knows, and `ssm:resourceTag`.
    """
    for instance_id in instance_ids:
        resource = arn("ec2", f"instance/{instance_id}")
        tags = {f"ssm:resourceTag/{tag['Key']}": tag["Value"] for tag in ec2._tags.get(instance_id) or []}
        denied = iam_evaluator.enforce(extract_access_key_id(headers, query), "ssm:SendCommand", "ssm", get_region(),
                                       resource_arn=resource, service_context=tags)
        if denied:
            return iam_actions.access_denied_response(
                "ssm", "ssm:SendCommand", denied.principal_arn, new_uuid(), headers=headers, resource_arn=resource,
                explicit_deny=denied.decision == "Deny")
    return None


# -- dynamodb:LeadingKeys ------------------------------------------------


def _dynamodb_context(body: bytes) -> dict:
    return {**_original_dynamodb_context(body), **_leading_keys(json.loads(body or b"{}"))}


def _leading_keys(request: dict) -> dict:
    """The partition key values a request touches; absent for a Scan, as on AWS."""
    keys = []
    for table, item in _touched(request):
        schema = (dynamodb._tables.get(table.rsplit("/", 1)[-1]) or {}).get("KeySchema", [])
        partition = next((k["AttributeName"] for k in schema if k["KeyType"] == "HASH"), None)
        if partition in item:
            keys.extend(str(value) for value in item[partition].values())
    return {"dynamodb:LeadingKeys": keys} if keys else {}


def _touched(request: dict) -> Iterator[tuple[str, dict]]:
    """Each (table, item or key) that a request names."""
    if "TableName" in request:
        table = request["TableName"]
        yield table, request.get("Key") or request.get("Item") or _key_of_query(request)
    for table, asked in (request.get("RequestItems") or {}).items():
        if isinstance(asked, dict):
            yield from ((table, key) for key in asked.get("Keys", []))
        else:
            yield from ((table, put.get("PutRequest", {}).get("Item") or put.get("DeleteRequest", {}).get("Key", {}))
                        for put in asked)
    for member in request.get("TransactItems") or []:
        for operation in member.values():
            yield operation["TableName"], operation.get("Key") or operation.get("Item") or {}


def _key_of_query(request: dict) -> dict:
    """The attributes a Query fixes by `name = :value`."""
    names, values = request.get("ExpressionAttributeNames") or {}, request.get("ExpressionAttributeValues") or {}
    fixed = {}
    for term in request.get("KeyConditionExpression", "").replace(" and ", " AND ").split(" AND "):
        left, equals, right = (part.strip(" ()") for part in term.partition("="))
        if equals and left and right in values:
            fixed[names.get(left, left)] = values[right]
    return fixed


# -- route53:ChangeResourceRecordSets... ---------------------------------


def _request_context(service: str, action: str, body: bytes, params: dict) -> dict:
    context = _original_request_context(service, action, body, params)
    if action == "route53:ChangeResourceRecordSets":
        context |= _record_context(body)
    return context


def _record_context(body: bytes) -> dict:
    """The three keys of Route 53: names, types and actions of the changes in a batch."""
    prefix = "route53:ChangeResourceRecordSets"
    texts: dict[str, set[str]] = {"Name": set(), "Type": set(), "Action": set()}
    for change in ElementTree.fromstring(body).iter():
        if change.tag.rpartition("}")[2] == "Change":
            for element in change.iter():
                tag = element.tag.rpartition("}")[2]
                if tag in texts:
                    texts[tag].add((element.text or "").strip())
    return {
        # Normalized: lower case, no dot at the end.
        f"{prefix}NormalizedRecordNames": sorted(n.lower().rstrip(".") for n in texts["Name"]),
        f"{prefix}RecordTypes": sorted(texts["Type"]),
        f"{prefix}Actions": sorted(texts["Action"]),
    }


# -- aws:SecureTransport ----------------------------------------------------


def _condition_key(key: str, context: iam_evaluator.EvalContext) -> object:
    """The lab's gateway stands for AWS's endpoints, which every client of the fleet reaches by TLS."""
    return "true" if key.lower() == "aws:securetransport" else _original_condition_key(key, context)


_original_condition_key = iam_evaluator._resolve_condition_key
_original_resource_arn = iam_actions.extract_resource_arn
_original_ec2_resources = iam_actions.verified_access_resource_arns
_original_dynamodb_context = iam_actions.dynamodb_service_context
_original_request_context = iam_actions.request_tag_context


def install() -> None:
    """Puts all of this in MiniStack's place."""
    tagging._RESOURCE_TAG_COLLECTORS["ec2"] = _ec2_tags
    iam_evaluator._resolve_condition_key = _condition_key
    iam_actions.extract_resource_arn = _resource_arn
    iam_actions.verified_access_resource_arns = _ec2_resources
    iam_actions.dynamodb_service_context = _dynamodb_context
    iam_actions.request_tag_context = _request_context
