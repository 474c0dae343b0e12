"""CloudWatch alarms that tell EventBridge and Lambda, not only SNS.

Fills a gap: MiniStack's alarms act on SNS topics alone. Still missing: alarms
are evaluated when data arrives, never because time passes, so that missing
data triggers nothing; SetAlarmState does.
"""

import time

from functions import invoke_by_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch
from ministack_api import emit

ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


def _dispatch(alarm: dict, old: str, new: str, reason: str) -> None:
    """What a change of an alarm's state sets off."""
    _original_dispatch(alarm, old, new, reason)
    if old == new:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
    data = {
        "alarmName": alarm["AlarmName"],
        "state": {"value": new, "reason": reason, "timestamp": now},
        "previousState": {"value": old},
        "configuration": _configuration(alarm),
    }
    emit("aws.cloudwatch", "CloudWatch Alarm State Change", data, [alarm["AlarmArn"]])
    if not alarm.get("ActionsEnabled", True):
        return
    for action in alarm.get(ACTIONS[new]) or []:
        if action.split(":")[2] == "lambda":
            invoke_by_arn(action, {
                "source": "aws.cloudwatch", "alarmArn": alarm["AlarmArn"], "accountId": get_account_id(),
                "time": now, "region": get_region(), "alarmData": data})


def _configuration(alarm: dict) -> dict:
    """The alarm's definition as its events carry it."""
    if "AlarmRule" in alarm:
        return {"alarmRule": alarm["AlarmRule"]}
    metric = {"namespace": alarm.get("Namespace"), "name": alarm.get("MetricName"),
              "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []}}
    described = {"description": alarm["AlarmDescription"]} if alarm.get("AlarmDescription") else {}
    return {**described, "metrics": [{
        "id": "m1", "returnData": True,
        "metricStat": {"metric": metric, "period": alarm.get("Period"), "stat": alarm.get("Statistic")}}]}


_original_dispatch = cloudwatch._dispatch_alarm_actions


def install() -> None:
    """Puts this in MiniStack's place."""
    cloudwatch._dispatch_alarm_actions = _dispatch
