"""IAM of RDS: the resources that a call is checked on, and their tags.

Fills gaps: MiniStack checks one resource of a call, knows only instances and
clusters, takes an ARN for a name, and has no tags of RDS for conditions.
"""

from collections.abc import Iterator
from urllib.parse import parse_qs

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import rds, tagging

# What names a resource in a request: of which kind. Later ones are checked beside the first that is there.
FIELDS = (("DBInstanceIdentifier", "db"), ("SourceDBInstanceIdentifier", "db"), ("DBClusterIdentifier", "cluster"),
          ("TargetDBInstanceIdentifier", "db"), ("GlobalClusterIdentifier", "global-cluster"),
          ("TargetDbClusterIdentifier", "cluster"), ("DbClusterIdentifier", "cluster"),
          ("SourceDBClusterIdentifier", "cluster"), ("DBProxyName", "db-proxy"), ("ResourceName", ""))


def resources(params: dict, region: str, account: str) -> list[str]:
    """The ARNs of all that a call names."""
    found = []
    for field, kind in FIELDS:
        if name := rds._p(params, field):
            where = "" if kind == "global-cluster" else region
            found.append(name if name.startswith("arn:") else f"arn:aws:rds:{where}:{account}:{kind}:{name}")
    return found


def _tags() -> Iterator[tuple[str, list[dict]]]:
    yield from list(rds._tags.items())


async def _handle_request(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
    """What is named beside the first resource is checked here; that one has been."""
    params = {**parse_qs(body.decode(errors="replace")), **query}
    action = f"rds:{rds._p(params, 'Action')}"
    for arn in resources(params, get_region(), get_account_id())[1:]:
        denied = iam_evaluator.enforce(extract_access_key_id(headers, query), action, "rds", get_region(),
                                       resource_arn=arn)
        if denied and not isinstance(denied, iam_evaluator.AuthError):
            return iam_actions.access_denied_response(
                "rds", action, denied.principal_arn, new_uuid(), headers=headers, resource_arn=arn,
                explicit_deny=denied.decision == "Deny")
    return await _original_handle(method, path, headers, body, query)


_original_handle = rds.handle_request


def install() -> None:
    """Puts all of this in MiniStack's place; after permissions.py, whose answers hold for other services."""
    others = iam_actions.extract_resource_arn

    def resource_arn(service: str, method: str, path: str, headers: dict, body: bytes, params: dict, region: str,
                     account: str) -> str:
        if service == "rds":
            return next(iter(resources(params, region, account)), "*")
        return others(service, method, path, headers, body, params, region, account)

    tagging._RESOURCE_TAG_COLLECTORS["rds"] = _tags
    iam_actions.extract_resource_arn = resource_arn
    rds.handle_request = _handle_request
