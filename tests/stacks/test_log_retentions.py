"""The schema of environment files, which does not know the CDK, has the CDK's own names of retentions."""

from aws_cdk.aws_logs import RetentionDays

from adapter_fleet.environment.environment_schema import LOG_RETENTIONS


def test_the_retentions_are_those_of_the_cdk() -> None:
    assert list(LOG_RETENTIONS) == [name.lower() for name in RetentionDays.__members__]
