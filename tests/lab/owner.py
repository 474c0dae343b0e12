"""The owner of the account: makes AWS calls for the lab, one JSON request a line, one JSON answer a line.

Request:  {"service": "ec2", "call": "stop_instances", "with": {"InstanceIds": ["i-0a1"]}, "region": "eu-west-1"}
Answer:   {"answer": {...}}  or  {"error": {"code": "...", "message": "..."}}

Where the account is, with which credentials, and in which Region unless the request says so, is said by the environment (AWS_ENDPOINT_URL and so on).
It ends when its standard input does.
"""

import base64
import datetime
import functools
import json
import sys

import boto3
import botocore.config
import botocore.exceptions

# One attempt: the lab itself decides what is worth asking again. The time-outs leave room for a function that is
# invoked and waited for.
CONFIG = botocore.config.Config(connect_timeout=2, read_timeout=120, retries={"total_max_attempts": 1})


@functools.cache
def client(service, region):
    return boto3.client(service, region_name=region, config=CONFIG)


def plain(value):
    """What JSON has no form for: times as ISO 8601, streams and bytes as text."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def answer(line):
    request = json.loads(line)
    try:
        response = getattr(client(request["service"], request.get("region")), request["call"])(**request["with"])
        response.pop("ResponseMetadata", None)
        return {"answer": response}
    except botocore.exceptions.ClientError as error:
        return {"error": {"code": error.response["Error"].get("Code", ""), "message": str(error)}}
    except (botocore.exceptions.BotoCoreError, AttributeError) as error:
        return {"error": {"code": type(error).__name__, "message": str(error)}}


for request_line in sys.stdin:
    print(json.dumps(answer(request_line), default=plain), flush=True)
