"""Properties of MiniStack's own CloudFormation types: none is ignored.

Fills a gap: MiniStack takes any property and drops those that it does not
know. Of the types that a cluster's stacks are made of, one that is not listed
here fails the resource, as on the lab's own types. What is listed is either
shown by an API afterwards, or is without meaning here and said to be.
"""

from collections.abc import Callable

from ministack.services.cloudformation import provisioners
from properties import known

KNOWN: dict[str, set[str]] = {
    "AWS::EC2::VPC": {"CidrBlock", "EnableDnsHostnames", "EnableDnsSupport", "Tags"},
    "AWS::EC2::Subnet": {"AvailabilityZone", "CidrBlock", "MapPublicIpOnLaunch", "Tags", "VpcId"},
    "AWS::EC2::InternetGateway": {"Tags"},
    "AWS::EC2::VPCGatewayAttachment": {"InternetGatewayId", "VpcId"},
    "AWS::EC2::RouteTable": {"Tags", "VpcId"},
    "AWS::EC2::Route": {"DestinationCidrBlock", "GatewayId", "NatGatewayId", "RouteTableId",
                        "VpcPeeringConnectionId"},
    "AWS::EC2::SubnetRouteTableAssociation": {"RouteTableId", "SubnetId"},
    "AWS::EC2::SecurityGroup": {"GroupDescription", "GroupName", "SecurityGroupEgress", "SecurityGroupIngress", "Tags",
                                "VpcId"},
    "AWS::EC2::VPCEndpoint": {"PolicyDocument", "PrivateDnsEnabled", "RouteTableIds", "SecurityGroupIds",
                              "ServiceName", "SubnetIds", "Tags", "VpcEndpointType", "VpcId"},
    "AWS::ElasticLoadBalancingV2::LoadBalancer": {"IpAddressType", "LoadBalancerAttributes", "Name", "Scheme",
                                                  "SecurityGroups", "Subnets", "Tags", "Type"},
    "AWS::ElasticLoadBalancingV2::TargetGroup": {
        "HealthCheckEnabled", "HealthCheckIntervalSeconds", "HealthCheckPath", "HealthCheckPort",
        "HealthCheckProtocol", "HealthCheckTimeoutSeconds", "HealthyThresholdCount", "Matcher", "Name", "Port",
        "Protocol", "Tags", "TargetGroupAttributes", "TargetType", "Targets", "UnhealthyThresholdCount", "VpcId"},
    "AWS::ElasticLoadBalancingV2::Listener": {"DefaultActions", "LoadBalancerArn", "Port", "Protocol", "Tags"},
    "AWS::IAM::Role": {"AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "Path", "PermissionsBoundary",
                       "Policies", "RoleName", "Tags"},
    "AWS::IAM::Policy": {"PolicyDocument", "PolicyName", "Roles"},
    "AWS::IAM::InstanceProfile": {"InstanceProfileName", "Path", "Roles"},
    "AWS::S3::Bucket": {"BucketEncryption", "BucketName", "LifecycleConfiguration", "OwnershipControls",
                        "PublicAccessBlockConfiguration", "ReplicationConfiguration", "Tags",
                        "VersioningConfiguration"},
    "AWS::S3::BucketPolicy": {"Bucket", "PolicyDocument"},
    "AWS::SNS::Topic": {"DisplayName", "KmsMasterKeyId", "Subscription", "Tags", "TopicName"},
    "AWS::SNS::TopicPolicy": {"PolicyDocument", "Topics"},
    "AWS::SecretsManager::Secret": {"Description", "GenerateSecretString", "KmsKeyId", "Name", "ReplicaRegions",
                                    "SecretString", "Tags"},
    "AWS::SSM::Parameter": {"Description", "Name", "Tags", "Tier", "Type", "Value"},
    "AWS::KMS::Key": {"Description", "EnableKeyRotation", "Enabled", "KeyPolicy", "KeySpec", "KeyUsage", "MultiRegion",
                      "PendingWindowInDays", "RotationPeriodInDays", "Tags"},
    "AWS::KMS::Alias": {"AliasName", "TargetKeyId"},
    "AWS::RDS::DBSubnetGroup": {"DBSubnetGroupDescription", "DBSubnetGroupName", "SubnetIds", "Tags"},
    "AWS::RDS::DBParameterGroup": {"DBParameterGroupName", "Description", "Family", "Parameters", "Tags"},
    "AWS::RDS::DBClusterParameterGroup": {"DBClusterParameterGroupName", "Description", "Family", "Parameters", "Tags"},
    "AWS::Route53::RecordSet": {"Failover", "HealthCheckId", "HostedZoneId", "Name", "ResourceRecords", "SetIdentifier",
                                "TTL", "Type", "Weight"},
    "AWS::Logs::LogGroup": {"KmsKeyId", "LogGroupName", "RetentionInDays", "Tags"},
    "AWS::CloudWatch::Alarm": {
        "ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmName", "ComparisonOperator", "DatapointsToAlarm",
        "Dimensions", "EvaluationPeriods", "ExtendedStatistic", "InsufficientDataActions", "MetricName", "Metrics",
        "Namespace", "OKActions", "Period", "Statistic", "Tags", "Threshold", "TreatMissingData", "Unit"},
}


def _checked(resource_type: str, handlers: dict) -> dict:
    """The handlers, refusing properties that are not known."""
    names = KNOWN[resource_type]

    def create(logical_id: str, props: dict, stack_name: str) -> tuple:
        known(resource_type, props, names)
        return handlers["create"](logical_id, props, stack_name)

    def update(physical_id: str, old: dict, new: dict, *rest: str) -> tuple:
        known(resource_type, new, names)
        return handlers["update"](physical_id, old, new, *rest)

    checked: dict[str, Callable] = {"create": create}
    if "update" in handlers:
        checked["update"] = update
    return {**handlers, **checked}


def install() -> None:
    """Wraps MiniStack's handlers; after every other patch of them."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers.update({resource_type: _checked(resource_type, handlers[resource_type]) for resource_type in KNOWN})
