"""Properties of CloudFormation resources, on their way to the EC2 API.

What CloudFormation itself does between a template and an API: it converts
types, sends tags in the form of the API, and knows what is gone already.
"""

from collections.abc import Callable

from ministack.services.cloudformation import provisioners
from ministack_api import CallFailed, call_ec2

Created = tuple[str, dict]


def known(resource_type: str, props: dict, names: set[str]) -> dict:
    """The properties that are set; ValueError for one that the lab does not know."""
    if unknown := set(props) - names:
        raise ValueError(f"{resource_type}: the lab does not know {', '.join(sorted(unknown))}")
    return {name: value for name, value in props.items() if value not in (None, "")}


def typed(value: object, **types: Callable) -> object:
    """`value` with its named members, at any depth, as the API wants them: numbers and booleans."""
    if isinstance(value, list):
        return [typed(v, **types) for v in value]
    if isinstance(value, dict):
        return {k: types[k](v) if k in types else typed(v, **types) for k, v in value.items()}
    return value


def boolean(value: object) -> bool:
    return str(value).lower() == "true"


def tagged(props: dict, kind: str) -> dict:
    """`props` with Tags in the form in which the EC2 API takes them."""
    tags = props.pop("Tags", None)
    return {**props, "TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else props


def retag(resource_id: str, old: dict, new: dict) -> None:
    """Replaces the tags the old template set by those of the new one."""
    provisioners._ec2_apply_tags(resource_id, new, old)


def changed(old: dict, new: dict) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def forgiving(missing: str, operation: str, **arguments) -> None:
    """Deletes; what is gone already is deleted."""
    try:
        call_ec2(operation, **arguments)
    except CallFailed as failed:
        if not str(failed).startswith(missing):
            raise
