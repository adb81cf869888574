from collections.abc import Callable
from pathlib import Path

import pytest

from adapter_fleet.environment.environment_reader import EnvironmentFileError, read_environment
from adapter_fleet.environment.environment_schema import MonitoringTable, ScheduleTable
from adapter_fleet.fleet.state.fleet_settings import UpdateMode
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.routing import PrefixRouting, RoutingStrategy
from adapter_fleet.serving.scaling_metric import ScalingMetric
from adapter_fleet.serving.vllm import VllmVersion

GOOD = """
[base_model]
bucket = "models"

[container]
lmi_version = 19

[lora]
max_loras = 4
max_cpu_loras = 8
max_lora_rank = 16

[endpoint]
instance_type = "ml.g5.xlarge"

[copies]
accelerators = 1
min_memory_mib = 1024
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(text: str) -> Path:
        path = tmp_path / "test.toml"
        path.write_text(text)
        return path

    return write_file


def errors(path: Path) -> list[str]:
    """Load the file and return what is wrong with it, without the file's name at the beginning."""
    with pytest.raises(EnvironmentFileError) as error:
        read_environment(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_a_good_file_becomes_typed_settings(write: Callable[[str], Path]) -> None:
    environment = read_environment(write(GOOD))
    assert environment.container.lmi_version is LmiVersion.V19
    assert environment.lora == LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16)
    assert environment.endpoint.routing_strategy is RoutingStrategy.LEAST_OUTSTANDING_REQUESTS
    assert environment.adapters == {}


def test_file_may_choose_the_vllm_container(write: Callable[[str], Path]) -> None:
    text = GOOD.replace("lmi_version = 19", 'vllm_version = "2.6"\nprefix_caching = true')
    container = read_environment(write(text)).container
    assert (container.release, container.prefix_caching) == (VllmVersion.V2_6, True)


def test_container_of_an_older_file_keeps_no_prefixes(write: Callable[[str], Path]) -> None:
    container = read_environment(write(GOOD)).container
    assert (container.release, container.prefix_caching) == (LmiVersion.V19, False)


def test_limits_of_routing_by_prefix_are_a_table(write: Callable[[str], Path]) -> None:
    limits = "[endpoint.prefix_routing]\nprefix_length = 4096\nconcurrency_threshold = 16\n"
    text = GOOD.replace("[copies]", f"routing_strategy = 'PREFIX_AWARE'\n{limits}[copies]")
    endpoint = read_environment(write(text)).endpoint
    assert endpoint.prefix_routing == PrefixRouting(prefix_length=4096, concurrency_threshold=16)


def test_relative_paths_are_relative_to_the_file(write: Callable[[str], Path], tmp_path: Path) -> None:
    environment = read_environment(write(f'{GOOD}\n[adapters.triage]\ndirectory = "adapters/triage"'))
    assert environment.adapters["triage"].directory == tmp_path / "adapters" / "triage"


def test_configuration_of_a_model_in_a_bucket_is_a_file(write: Callable[[str], Path], tmp_path: Path) -> None:
    text = GOOD.replace('bucket = "models"', 'bucket = "models"\nconfig = "own/config.json"')
    assert read_environment(write(text)).base_model.config == tmp_path / "own" / "config.json"


def test_a_fleet_is_typed_settings_with_the_defaults_of_the_library(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    fleet = read_environment(
        write(f'{GOOD}\n[fleets.Tenants]\nmanifest = "all.yaml"\nupdate_mode = "replace"')
    ).fleets["Tenants"]
    assert fleet.manifest == tmp_path / "all.yaml"
    assert fleet.update_mode is UpdateMode.REPLACE
    assert (fleet.request_rate, fleet.timeout_minutes, fleet.drift_check) == (5.0, 50, None)


def test_a_typo_in_a_key_is_an_error_with_the_key_that_was_meant(write: Callable[[str], Path]) -> None:
    path = write(GOOD.replace("max_cpu_loras", "max_cpu_lora"))
    assert errors(path) == [
        "lora.max_cpu_loras: should be given, got nothing",
        "lora.max_cpu_lora: unknown key (did you mean 'max_cpu_loras'?), got 8",
    ]


def test_an_unknown_key_like_no_other_is_an_error_with_those_known(write: Callable[[str], Path]) -> None:
    assert errors(write(GOOD.replace("[copies]", "[copies]\nzone = 'a'"))) == [
        "copies.zone: unknown key (known are count, accelerators, cpu_cores, min_memory_mib, max_memory_mib,"
        " model_download_timeout_seconds, health_check_timeout_seconds, placement, max_zone_imbalance,"
        " data_caching, rolling_update), got 'a'"
    ]


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("lmi_version = 19", "lmi_version = '19'", "container.lmi_version: should be an integer, got '19'"),
        ("lmi_version = 19", "vllm_version = 2.6", "container.vllm_version: should be a string, got 2.6"),
        (
            "lmi_version = 19",
            "vllm_version = '2.7'",
            "container.vllm_version: should be one of 1.3, 1.4, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, got '2.7'",
        ),
        (
            "lmi_version = 19",
            "lmi_version = 19\nvllm_version = '2.6'",
            "container: one of lmi_version, vllm_version should be given, got lmi_version and vllm_version",
        ),
        (
            "lmi_version = 19",
            "prefix_caching = false",
            "container: one of lmi_version, vllm_version should be given, got none",
        ),
        (
            "[endpoint]",
            "[endpoint]\nrouting_strategy = 'PREFIX_AWARE'",
            "endpoint: 'prefix_routing' should be given with RoutingStrategy.PREFIX_AWARE, got None",
        ),
        (
            "[copies]",
            "[copies.rolling_update]\nbatch_percent = 50\nbatch_copies = 1\nwait_seconds = 60\n[copies]",
            "copies.rolling_update: one of batch_percent, batch_copies should be given, got batch_percent and"
            " batch_copies",
        ),
        (
            "[copies]",
            "[copies]\nmax_zone_imbalance = 1",
            "copies: 'max_zone_imbalance' should be given with placement only, got 1",
        ),
        (
            "[copies]",
            "[[endpoint.instance_pools]]\ninstance_type = 'ml.g6e.xlarge'\naccelerators = 1\n[copies]",
            "endpoint.instance_pools.0: 'accelerators' should be given with min_memory_mib only, got 1",
        ),
        (
            "[copies]",
            "[[endpoint.instance_pools]]\ninstance_type = 'ml.g6e.xlarge'\nmin_memory_mib = 1024\n[copies]",
            "endpoint.instance_pools.0: 'min_memory_mib' should be given with accelerators only, got 1024",
        ),
        (
            "accelerators = 1\n",
            "",
            "copies.accelerators: should be given, got nothing",
        ),
        (
            "[copies]",
            "[endpoint.data_capture]\nbucket = 'captured'\nsampling_percent = 1\nmode = 'All'\n[copies]",
            "endpoint.data_capture.mode: should be one of Input, Output, InputAndOutput, got 'All'",
        ),
        (
            "[copies]",
            "[endpoint.prefix_routing]\nprefix_length = 512\nconcurrency_threshold = 8\n[copies]",
            "endpoint.prefix_routing: 'prefix_length' should be at least 1024, got 512",
        ),
        ("max_loras = 4", "max_loras = true", "lora.max_loras: should be an integer, got True"),
        ("max_loras = 4", "max_loras = 4.0", "lora.max_loras: should be an integer, got 4.0"),
        ('"ml.g5.xlarge"', "5", "endpoint.instance_type: should be a string, got 5"),
        (
            "[copies]",
            "[copies]\ncpu_cores = 'two'",
            "copies.cpu_cores: should be a number, got 'two'",
        ),
        (
            "[container]",
            "[container]\nenvironment = 3",
            "container.environment: should be a table, got 3",
        ),
        (
            "[container]",
            "[container]\nenvironment = {OPTION_DTYPE = 16}",
            "container.environment.OPTION_DTYPE: should be a string, got 16",
        ),
        ("[base_model]", "tags = 3\n[base_model]", "tags: should be a table, got 3"),
        (
            "[base_model]",
            "artifact_sources = 'models'\n[base_model]",
            "artifact_sources: should be an array, got 'models'",
        ),
        ("[base_model]", "adapters = {a = 3}\n[base_model]", "adapters.a: should be a table, got 3"),
        (
            "[base_model]",
            "artifact_sources = [{bucket = 3}]\n[base_model]",
            "artifact_sources.0.bucket: should be a string, got 3",
        ),
    ],
)
def test_a_value_of_another_type_is_an_error_with_file_key_and_value(
    write: Callable[[str], Path], good: str, bad: str, message: str
) -> None:
    assert errors(write(GOOD.replace(good, bad))) == [message]


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (
            "max_lora_rank = 16",
            "max_lora_rank = 48",
            "lora: 'max_lora_rank' should be one of 8, 16, 32, 64, 128, 256, 320, 512 (or 1 from LMI 17 on),"
            " got 48",
        ),
        (
            "max_cpu_loras = 8",
            "max_cpu_loras = 3",
            "lora: 'max_cpu_loras' should be at least 4, as it includes those of 'max_loras', got 3",
        ),
        (
            "lmi_version = 19",
            "lmi_version = 12",
            "container.lmi_version: should be one of 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,"
            " 27, 28, 29, got 12",
        ),
        (
            "[endpoint]",
            "[endpoint]\nrouting_strategy = 'ROUND_ROBIN'",
            "endpoint.routing_strategy: should be one of LEAST_OUTSTANDING_REQUESTS, RANDOM,"
            " PREFIX_AWARE, got 'ROUND_ROBIN'",
        ),
        (
            'instance_type = "ml.g5.xlarge"',
            'instance_type = "ml.g5.13xlarge"',
            "endpoint: 'instance_type' should be a hosting instance type (did you mean 'ml.g5.16xlarge',"
            " 'ml.g5.12xlarge', 'ml.g5.xlarge'?), got 'ml.g5.13xlarge'; of a type that is newer than"
            " botocore, give what it has, such as 'accelerators'",
        ),
        (
            "[endpoint]",
            "[endpoint]\ncomponent_prefix = ''",
            "endpoint: 'component_prefix' should not be empty, got ''",
        ),
        (
            "[endpoint]",
            "[endpoint.instance]\n[endpoint]",
            "endpoint.instance: one of accelerators, accelerator_memory_gib, memory_gib, vcpus, local_storage"
            " should be given, got none",
        ),
        (
            "[endpoint]",
            "[aws]\nregion = 'eu-wst-1'\n[endpoint]",
            "aws: 'region' should be one that has AWS's containers (did you mean 'eu-west-1'?), got"
            " 'eu-wst-1'",
        ),
        (
            "[endpoint]",
            "[aws]\naccount = '1234'\n[endpoint]",
            "aws: 'account' should be 12 digits, got '1234'",
        ),
        (
            'bucket = "models"',
            'bucket = "s3://models"',
            "base_model: 'bucket' should be the name of a bucket, 3 to 63 small letters, digits, dots and"
            " hyphens, got 's3://models'",
        ),
        (
            "[endpoint]",
            "[network]\nvpc = 'vpc-0a1b2c3d'\nsubnets = ['10.0.0.0/24']\nsecurity_groups = ['sg-0a1b2c3d']\n"
            "[endpoint]",
            "network: 'subnets' should be ids such as 'subnet-0a1b2c3d', got '10.0.0.0/24'",
        ),
        (
            "[endpoint]",
            "[network]\nvpc = 'vpc-0a1b2c3d'\nsubnets = []\nsecurity_groups = ['sg-0a1b2c3d']\n[endpoint]",
            "network: 'subnets' should have at least one id, got none",
        ),
        (
            "[endpoint]",
            "[encryption]\nkey_arn = 'alias/own'\n[endpoint]",
            "encryption: 'key_arn' should be the ARN of a key, such as"
            " 'arn:aws:kms:us-east-1:111122223333:key/…', got 'alias/own'",
        ),
        (
            "[endpoint]",
            "[logs]\nretention = 'one_yaer'\n[endpoint]",
            "logs: 'retention' should be a time that CloudWatch Logs has (did you mean 'one_year'?), got"
            " 'one_yaer'",
        ),
        (
            'bucket = "models"',
            "",
            "base_model: one of bucket, directory, hub should be given, got none",
        ),
        (
            "[base_model]",
            "[base_model]\nhub = 'org/model'",
            "base_model: one of bucket, directory, hub should be given, got bucket and hub",
        ),
        (
            "[base_model]",
            "[base_model]\nrevision = 'main'",
            "base_model: 'revision' should be given with hub only, got 'main'",
        ),
        (
            'bucket = "models"',
            "directory = 'base'\nprefix = 'models/'",
            "base_model: 'prefix' should be given with bucket only, got 'models/'",
        ),
        (
            "[copies]",
            "[copies]\nhealth_check_timeout_seconds = -3",
            "copies: 'health_check_timeout_seconds' should be above 0, got -3",
        ),
        (
            "[base_model]",
            "[adapters.'']\nuri = 's3://models/a.tar.gz'\n[base_model]",
            "'adapters' should give each adapter a name, got an empty one",
        ),
        (
            "[base_model]",
            "[adapters.a]\n[base_model]",
            "adapters.a: one of directory, uri should be given, got none",
        ),
        (
            "[base_model]",
            "[fleets.a]\n[base_model]",
            "fleets.a: one of manifest, bucket should be given, got none",
        ),
        (
            "[base_model]",
            "[fleets.a]\nbucket = 'models'\n[base_model]",
            "fleets.a: 'key' should be given with bucket, got nothing",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\nkey = 'a.yaml'\n[base_model]",
            "fleets.a: 'key' should be given with bucket only, got 'a.yaml'",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\nstrict = true\nfailure_share = 0.1\n[base_model]",
            "fleets.a: 'failure_share' should be left out when strict is on, got 0.1",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\nstrict = true\nfailure_at_most = 3\n[base_model]",
            "fleets.a: 'failure_at_most' should be left out when strict is on, got 3",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\nfailure_share = 0.1\nfailure_at_most = 3\n[base_model]",
            "fleets.a: 'failure_share' should be left out when failure_at_most is given, got 0.1",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\ndeletion_guard = false\ndeletion_above = 3\n[base_model]",
            "fleets.a: 'deletion_above' should be left out when deletion_guard is off, got 3",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\n[fleets.a.smoke]\nexpect = 'a'\n[base_model]",
            "fleets.a.smoke: one of prompt, body should be given, got none",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\n[fleets.a.smoke]\nbody = {inputs = 'a'}\nmax_tokens = 4\n"
            "[base_model]",
            "fleets.a.smoke: 'max_tokens' should be given with prompt only, got 4",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\ndrift_every_minutes = 5\n[base_model]",
            "fleets.a: 'drift_every_minutes' should be given with drift_check only, got 5",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\n[fleets.a.evaluation]\nrequire = []\n[base_model]",
            "fleets.a.evaluation: 'evaluation' should have one requirement or more, got none",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\ndrift_probes = 5\n[base_model]",
            "fleets.a: 'drift_probes' should be given with drift_check only, got 5",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\ndrift_check = 'report'\ndrift_probes = -1\n[base_model]",
            "fleets.a: 'drift_probes' should be at least 0, got -1",
        ),
        (
            "[base_model]",
            "[fleets.a]\nmanifest = 'a.yaml'\ndrift_check = 'mend'\n[base_model]",
            "fleets.a.drift_check: should be one of report, repair, got 'mend'",
        ),
        (
            "[base_model]",
            "[fleets.a-b]\nmanifest = 'a.yaml'\n[base_model]",
            "'fleets' should give each fleet a name of letters and digits, as it begins those of its outputs,"
            " got 'a-b'",
        ),
    ],
)
def test_a_value_that_cannot_be_is_an_error(
    write: Callable[[str], Path], good: str, bad: str, message: str
) -> None:
    assert errors(write(GOOD.replace(good, bad))) == [message]


def test_everything_wrong_is_told_at_once(write: Callable[[str], Path]) -> None:
    path = write(
        GOOD.replace("= 19", "= 12").replace("max_loras = 4", "max_loras = 'x'").replace("[copies]", "[copy]")
    )
    assert len(errors(path)) == 4


def test_what_is_no_toml_is_an_error_with_the_line(write: Callable[[str], Path]) -> None:
    (error,) = errors(write("[base_model\n"))
    assert error.startswith("not a TOML document: ")
    assert "line 1" in error


SCALING = "\n[scaling]\nmin_copies = 0\nmax_copies = 3\n"


def test_scaling_has_the_defaults_of_the_library(write: Callable[[str], Path]) -> None:
    scaling = read_environment(write(GOOD + SCALING)).scaling
    assert scaling is not None
    assert (scaling.min_copies, scaling.max_copies, scaling.load) == (0, 3, 5)
    assert scaling.metric is ScalingMetric.CONCURRENT_REQUESTS
    assert scaling.wake_for_adapters


def test_file_without_scaling_has_none(write: Callable[[str], Path]) -> None:
    assert read_environment(write(GOOD)).scaling is None


def test_schedules_are_tables_of_their_own(write: Callable[[str], Path]) -> None:
    schedule = "[[scaling.schedules]]\nname = 'Morning'\nschedule = 'cron(0 7 ? * MON-FRI *)'\n"
    scaling = read_environment(write(f"{GOOD}{SCALING}{schedule}min_copies = 1\n")).scaling
    assert scaling is not None
    assert scaling.schedules == [
        ScheduleTable(name="Morning", schedule="cron(0 7 ? * MON-FRI *)", min_copies=1)
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("min_copies = 4\nmax_copies = 3", "scaling: 'min_copies' should be at most 'max_copies', 3, got 4"),
        ("min_copies = 0\nmax_copies = 0", "scaling: 'max_copies' should be at least 1, got 0"),
        ("min_copies = -1\nmax_copies = 1", "scaling: 'min_copies' should be at least 0, got -1"),
        (
            "min_copies = 1\nmax_copies = 2\nmetric = 'latency'",
            "scaling.metric: should be one of concurrent_requests, invocations, got 'latency'",
        ),
        (
            "min_copies = 1\nmax_copies = 2\nmetric = 'invocations'",
            "scaling: 'target' should be given with invocations, got nothing",
        ),
        ("min_copies = 1\nmax_copies = 2\ntarget = 0", "scaling: 'target' should be above 0, got 0.0"),
        (
            "min_copies = 1\nmax_copies = 2\n[[scaling.schedules]]\nname = 'A'\nschedule = '7:00'"
            "\nmin_copies = 1",
            "scaling.schedules.0: 'schedule' should be an expression such as 'cron(0 7 ? * MON-FRI *)', got"
            " '7:00'",
        ),
        (
            "min_copies = 1\nmax_copies = 2\n[[scaling.schedules]]\nname = 'A'\nschedule = 'rate(1 day)'",
            "scaling.schedules.0: one of min_copies, max_copies should be given, got none",
        ),
    ],
)
def test_wrong_scaling_is_an_error(write: Callable[[str], Path], table: str, message: str) -> None:
    assert errors(write(f"{GOOD}\n[scaling]\n{table}\n")) == [message]


def test_monitoring_has_the_defaults_of_the_library(write: Callable[[str], Path]) -> None:
    assert read_environment(write(f"{GOOD}\n[monitoring]\n")).monitoring == MonitoringTable()
    assert read_environment(write(GOOD)).monitoring is None


def test_list_of_prices_is_beside_the_file(write: Callable[[str], Path]) -> None:
    path = write(f"{GOOD}\n[monitoring]\nusage_by = ['team']\nprices = 'prices.toml'\n")
    monitoring = read_environment(path).monitoring
    assert monitoring is not None
    assert (monitoring.usage_by, monitoring.prices) == (["team"], path.parent / "prices.toml")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "topic_arn = 'on-call'",
            "'topic_arn' should be the ARN of a topic, such as"
            " 'arn:aws:sns:us-east-1:111122223333:on-call', got 'on-call'",
        ),
        ("max_failed = -1", "'max_failed' should be at least 0, got -1"),
        ("max_server_errors = 0", "'max_server_errors' should be above 0, got 0"),
        ("usage_every_minutes = 0", "'usage_every_minutes' should be above 0, got 0"),
    ],
)
def test_wrong_monitoring_is_an_error(write: Callable[[str], Path], setting: str, message: str) -> None:
    assert errors(write(f"{GOOD}\n[monitoring]\n{setting}\n")) == [f"monitoring: {message}"]
