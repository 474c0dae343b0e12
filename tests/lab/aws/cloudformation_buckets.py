"""S3 buckets of a stack, with all that their template says.

Fills gaps: MiniStack takes an AWS::S3::Bucket's encryption, ownership,
lifecycle, replication and tags and forgets them, and deletes a bucket that
still holds objects, which CloudFormation refuses.
"""

from collections.abc import Callable

import botocore.session
from botocore import serialize
from ministack.services import s3
from ministack.services.cloudformation import provisioners
from ministack_api import CallFailed
from properties import Created, boolean, typed

_MODEL = botocore.session.get_session().get_service_model("s3")
# What is a number or a boolean below a bucket's properties.
TYPES: dict[str, Callable] = {
    name: int for name in ("TransitionInDays", "NoncurrentDays", "ExpirationInDays", "DaysAfterInitiation", "Priority")
} | {name: boolean for name in ("BucketKeyEnabled", "ExpiredObjectDeleteMarker")}


def _encryption(given: dict) -> dict:
    rules = [{"BucketKeyEnabled": rule.get("BucketKeyEnabled", False),
              "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
             for rule in given["ServerSideEncryptionConfiguration"]]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def _lifecycle(given: dict) -> dict:
    rules = []
    for rule in given["Rules"]:
        rule = dict(rule)
        expiration = {api: rule.pop(name) for name, api in
                      (("ExpirationInDays", "Days"), ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"))
                      if name in rule}
        transitions = [{"Days": t["TransitionInDays"], "StorageClass": t["StorageClass"]}
                       for t in rule.pop("Transitions", [])]
        rules.append({"ID": rule.pop("Id", ""), "Filter": {"Prefix": rule.pop("Prefix", "")}, **rule}
                     | ({"Expiration": expiration} if expiration else {})
                     | ({"Transitions": transitions} if transitions else {}))
    return {"LifecycleConfiguration": {"Rules": rules}}


def _replication(given: dict) -> dict:
    rules = [{"ID" if name == "Id" else name: value for name, value in rule.items()} for rule in given["Rules"]]
    return {"ReplicationConfiguration": {"Role": given["Role"], "Rules": rules}}


# By property: the API's name, its arguments, MiniStack's handler, and what forgets it again.
CONFIGURATIONS: dict[str, tuple[str, Callable[[dict], dict], Callable, Callable[[str], object]]] = {
    "BucketEncryption": ("PutBucketEncryption", _encryption, s3._put_bucket_encryption,
                         lambda name: s3._bucket_encryption.pop(name, None)),
    "OwnershipControls": ("PutBucketOwnershipControls", lambda given: {"OwnershipControls": given},
                          s3._put_bucket_ownership_controls, lambda name: None),
    "LifecycleConfiguration": ("PutBucketLifecycleConfiguration", _lifecycle, s3._put_bucket_lifecycle,
                               lambda name: s3._bucket_lifecycle.pop(name, None)),
    "ReplicationConfiguration": ("PutBucketReplication", _replication, s3._put_bucket_replication,
                                 lambda name: s3._bucket_replication.pop(name, None)),
    "Tags": ("PutBucketTagging", lambda given: {"Tagging": {"TagSet": given}}, s3._put_bucket_tagging,
             lambda name: s3._bucket_tags.pop(name, None)),
}


def _configure(name: str, old: dict, new: dict) -> None:
    """Makes the calls that CloudFormation makes after a bucket's creation."""
    for prop, (operation, arguments, put, forget) in CONFIGURATIONS.items():
        if not new.get(prop):
            if old.get(prop):
                forget(name)
            continue
        request = serialize.create_serializer("rest-xml").serialize_to_request(
            {"Bucket": name, **arguments(typed(new[prop], **TYPES))}, _MODEL.operation_model(operation))
        status, _, body = put(name, request["body"])
        if status >= 400:
            raise CallFailed(f"{operation}: {body.decode(errors='replace')}")


def _create(logical_id: str, props: dict, stack_name: str) -> Created:
    name, attributes = _original["create"](logical_id, props, stack_name)
    try:
        _configure(name, {}, props)
    except CallFailed:
        _original["delete"](name, props)
        raise
    return name, attributes


def _update(name: str, old: dict, new: dict, stack_name: str) -> Created:
    name, attributes = _original["update"](name, old, new, stack_name)
    _configure(name, old, new)
    return name, attributes


def _delete(name: str, props: dict) -> None:
    bucket = s3._buckets.get(name)
    if bucket and bucket.get("objects"):
        raise ValueError("The bucket you tried to delete is not empty")
    s3._bucket_replication.pop(name, None)
    _original["delete"](name, props)


_original = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]


def install() -> None:
    """Puts all of this in MiniStack's place."""
    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"] = {
        **_original, "create": _create, "update": _update, "delete": _delete}
