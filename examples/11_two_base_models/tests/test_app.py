"""Two base models answer on one instance, each with its own adapters."""

from local_sagemaker.local_fleet import LocalFleet

TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


def test_the_small_one_reads_the_ticket_and_the_large_one_writes(local_fleet: LocalFleet) -> None:
    local_fleet.assert_serves("Triage", TICKET, '{"category": "billing"}')
    local_fleet.assert_serves(
        "acme", TICKET, "Customer Grace from Lima has a billing problem with the keyboard."
    )
    local_fleet.assert_serves("globex", TICKET, "ATTENTION: GRACE FROM LIMA WANTS A REFUND FOR THE KEYBOARD!")


def test_one_instance_holds_both(local_fleet: LocalFleet) -> None:
    described = local_fleet.cloud.client("sagemaker").describe_endpoint(
        EndpointName=local_fleet.endpoint_name
    )
    (variant,) = described["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 1
    bases = [name for name in local_fleet.components().values() if "-base-" in name]
    assert len(bases) == 2
