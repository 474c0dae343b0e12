"""CloudFormation templates in S3: TemplateURL as AWS takes it.

Fills gaps: MiniStack reads only addresses with the bucket in their path, and
reads whatever they name; CloudFormation reads a template with the rights of
who calls it.
"""

import json
import re
from urllib.parse import parse_qs, urlparse

import settings
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import cloudformation
from ministack.services.cloudformation import helpers

VIRTUAL_HOST = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com")
OWN_HOSTS = {f"{settings.ADDRESS}:{settings.GATEWAY_PORT}", f"localhost:{settings.GATEWAY_PORT}"}
PATH_HOST = re.compile(r"s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com")


def place_of(url: str) -> tuple[str, str] | None:
    """Bucket and key that an address of S3 names, in any of its forms; None for any other address."""
    parsed = urlparse(url)
    path = parsed.path.lstrip("/")
    if named := VIRTUAL_HOST.fullmatch(parsed.netloc):
        return (named["bucket"], path) if path else None
    bucket, _, key = path.partition("/")
    if bucket and key and (parsed.netloc in OWN_HOSTS or PATH_HOST.fullmatch(parsed.netloc)):
        return bucket, key
    return None


def _resolve_document(params: dict, body_key: str, url_key: str, label: str) -> tuple:
    url = helpers._p(params, url_key)
    if url and not helpers._p(params, body_key):
        place = place_of(url)
        if place is None:
            return None, helpers._error("ValidationError", f"{url_key} must reference a valid S3 object to which you "
                                                           f"have access: {url}")
        params = {**params, url_key: [f"{settings.GATEWAY_URL}/{place[0]}/{place[1]}"]}
    return _original_resolve(params, body_key, url_key, label)


async def _handle_request(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
    place = place_of(_template_url(headers, body, query))
    return (_refusal(headers, query, *place) if place else None) or await _original_handle(
        method, path, headers, body, query)


def _template_url(headers: dict, body: bytes, query: dict) -> str:
    """What the request says as TemplateURL, in whichever protocol."""
    if "amz-json" in headers.get("content-type", ""):
        return str(json.loads(body or b"{}").get("TemplateURL") or "")
    return next(iter(parse_qs(body.decode(errors="replace")).get("TemplateURL") or query.get("TemplateURL") or []), "")


def _refusal(headers: dict, query: dict, bucket: str, key: str) -> tuple | None:
    """IAM's refusal to let the caller read an object."""
    resource = f"arn:aws:s3:::{bucket}/{key}"
    denied = iam_evaluator.enforce(extract_access_key_id(headers, query), "s3:GetObject", "s3", get_region(),
                                   resource_arn=resource)
    if not denied or isinstance(denied, iam_evaluator.AuthError):
        return None  # the call itself is refused, with its own words
    return iam_actions.access_denied_response(
        "cloudformation", "s3:GetObject", denied.principal_arn, new_uuid(), headers=headers, resource_arn=resource,
        explicit_deny=denied.decision == "Deny")


_original_resolve = helpers._resolve_document
_original_handle = cloudformation.handle_request


def install() -> None:
    """Puts all of this in MiniStack's place."""
    helpers._resolve_document = _resolve_document
    cloudformation.handle_request = _handle_request
