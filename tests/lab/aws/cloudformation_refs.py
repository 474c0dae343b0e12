"""CloudFormation types that MiniStack has but gets wrong.

Fills gaps: `Ref` of a secret is its ARN and `Ref` of an instance profile its
name, MiniStack has both the other way round; and a generated password keeps
none of the rules that GenerateSecretString gives.
"""

import json
from collections.abc import Callable

from ministack.services import iam, secretsmanager
from ministack.services.cloudformation import provisioners

# A template may carry numbers and booleans as strings; the API takes none such.
PASSWORD_RULES: dict[str, Callable] = {"PasswordLength": int, "ExcludeCharacters": str} | dict.fromkeys(
    ("ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase", "ExcludeLowercase", "IncludeSpace",
     "RequireEachIncludedType"), lambda value: str(value).lower() == "true")


# -- Ref -----------------------------------------------------------------


def _secret_arn(name: str) -> str:
    secret = secretsmanager._secrets.get(name)
    return secret["ARN"] if secret else name


def _secret_name(arn: str) -> str:
    return next((name for name, secret in secretsmanager._secrets.items() if secret["ARN"] == arn), arn)


def _profile_arn(name: str) -> str:
    profile = iam._lookup_instance_profile(name=name)
    return profile["Arn"] if profile else name


def _profile_name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _with_ref(handlers: dict, to_ref: Callable[[str], str], from_ref: Callable[[str], str]) -> dict:
    """Handlers whose physical id, and so `Ref`, is another name than the one MiniStack's use."""
    def create(logical_id: str, props: dict, stack_name: str) -> tuple[str, dict]:
        made, attributes = handlers["create"](logical_id, props, stack_name)
        return to_ref(made), attributes

    def update(ref: str, old: dict, new: dict, stack_name: str, logical_id: str) -> tuple[str, dict]:
        made, attributes = handlers["update"](from_ref(ref), old, new, stack_name, logical_id)
        return to_ref(made), attributes

    def delete(ref: str, props: dict) -> None:
        handlers["delete"](from_ref(ref), props)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


# -- GenerateSecretString ------------------------------------------------


def _secret_string(props: dict) -> str:
    """The value that a template declares for a secret."""
    rules = props.get("GenerateSecretString")
    if not rules:
        return props.get("SecretString", "")
    asked = {name: typed(rules[name]) for name, typed in PASSWORD_RULES.items() if name in rules}
    status, _, body = secretsmanager._get_random_password(asked)
    if status != 200:
        raise ValueError(f"GenerateSecretString: {body.decode()}")
    password = json.loads(body)["RandomPassword"]
    if "SecretStringTemplate" not in rules:
        return password
    return json.dumps(json.loads(rules["SecretStringTemplate"]) | {rules["GenerateStringKey"]: password})


def install() -> None:
    """Puts all of this in MiniStack's place."""
    known = provisioners._RESOURCE_HANDLERS
    provisioners._sm_secret_string = _secret_string
    known["AWS::SecretsManager::Secret"] = _with_ref(
        known["AWS::SecretsManager::Secret"], _secret_arn, _secret_name)
    known["AWS::IAM::InstanceProfile"] = _with_ref(
        known["AWS::IAM::InstanceProfile"], _profile_name, _profile_arn)
