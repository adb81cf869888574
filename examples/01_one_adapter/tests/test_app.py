"""The adapter and the base model answer the same ticket, each in its own way."""

from local_sagemaker.local_fleet import BASE, LocalFleet

TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


def test_adapter_summarizes(local_fleet: LocalFleet) -> None:
    expected = "Customer Grace from Lima has a billing problem with the keyboard."
    local_fleet.assert_serves("Summary", TICKET, expected)


def test_base_model_replies_to_the_customer(local_fleet: LocalFleet) -> None:
    expected = "Dear Grace, thank you for writing to us about the keyboard. We will get back to you soon."
    local_fleet.assert_serves(BASE, TICKET, expected)


def test_outputs_name_what_callers_need(local_fleet: LocalFleet) -> None:
    assert local_fleet.outputs["EndpointName"] == local_fleet.endpoint_name
    assert local_fleet.outputs["SummaryComponentName"] == local_fleet.component("Summary")
