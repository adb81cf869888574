"""What an `AdapterFleet` and an imported fleet have in common: names, grants and metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import jsii
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct

from adapter_fleet.common.counts import counted
from adapter_fleet.common.naming import (
    ADAPTER_TAG,
    FLEET_TAG,
    adapter_component,
    check_component_name,
    check_component_prefix,
    component_name,
    near_names,
    without_version,
)
from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.components.grants import (
    INVOKE_ACTIONS,
    OperatedFleet,
    grant_invoke,
    grant_routes,
)
from multi_adapter_inference.components.inference_component import IInferenceComponent
from multi_adapter_inference.fleet.fleet_metrics import FleetMetrics
from multi_adapter_inference.template.arns import component_arn, component_arn_spellings
from multi_adapter_inference.template.stack_location import stack_of

MOST_NAMED_GRANTS = 50
"""A thousand names fill 26 managed policies, and a role may have ten."""


@checked
class IAdapterFleet(FleetMetrics, metaclass=jsii.JSIIAbstractClass):
    """A fleet that callers and operators can be granted: an `AdapterFleet`, or an imported one.

    Example::

        def allow(fleet: IAdapterFleet) -> None:
            fleet.grant_read(caller)

        allow(AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest))
    """

    fleet_uid: str
    """The fleet's identifier: the value of the tag `fleet-uid` on its components."""

    endpoint: IBaseComponent
    """The endpoint that the adapters run on."""

    component_prefix: str
    """The beginning of the names of the fleet's components."""

    registry: dynamodb.ITable | None
    """The table that holds the fleet's state."""

    state_machine: sfn.IStateMachine | None
    """The state machine that reconciles the fleet with its manifest."""

    manifest_location: tuple[s3.IBucket, str] | None = None
    """The bucket and the key of the manifest, if it is in S3 and may change without a deployment."""

    component_names: Mapping[str, str] | None = None
    """The names of components by adapter; None if synth does not know the manifest."""

    has_routes: bool = False
    """True for a fleet with `releases`: callers look up which component answers."""

    stack_arns: Sequence[str] = ()
    """The ARNs of the stacks by whose names the `adapters` command finds the fleet."""

    def component_name(self, adapter: str) -> str:
        """Return the name of an adapter's component, which callers put into their requests.

        It is `<prefix>-<adapter>`, or the `component` that the manifest gives. Synth does not know a manifest
        in S3 or of another app: its adapters with a `component` have another name.

        Raises ValueError for an adapter that is not in a manifest that synth knows, and for a fleet with
        `releases`, whose versions are components of their own.
        """
        self._check_adapter(adapter)
        with error_context(self):
            names = self.component_names
            if self.has_routes:
                raise ValueError(
                    "'component_name' should be looked up at run time, as AdapterRoutes does, because the"
                    f" fleet's 'releases' give each version a component of its own, got {adapter!r};"
                    " 'grant_invoke' takes the adapter's name"
                )
            if names is not None:
                return names[adapter]
            if TOKEN in self.component_prefix or TOKEN in adapter:
                return adapter_component(self.component_prefix, adapter)
            check_component_name(adapter, what="adapter")
            return component_name(self.component_prefix, adapter)

    def adapter(self, name: str, *, component_name: str | None = None) -> FleetMember:
        """Return one adapter of the fleet, for its grants, its metrics and its URL.

        Without `component_name`, it raises ValueError for a fleet with `releases`.

        component_name:
            The name of its component, or of a version's. Default: the one that `component_name()` returns.
        """
        if component_name is None:
            return FleetMember(fleet=self, component_name=self.component_name(name))
        self._check_adapter(name)
        self._check_component("component_name", component_name)
        known = None if self.component_names is None else self.component_names[name]
        if known not in (None, component_name, self._declared(component_name)):
            raise ValueError(
                f"'{self.node.path}': 'component_name' should be {known!r}, which the manifest gives"
                f" {name!r}, got {component_name!r}"
            )
        return FleetMember(fleet=self, component_name=component_name)

    def grant_invoke(
        self,
        grantee: iam.IGrantable,
        *,
        adapters: Sequence[str] | None = None,
        components: Sequence[str] | None = None,
        bearer_token: bool = False,
    ) -> iam.Grant:
        """Let `grantee` send requests to every adapter of the fleet, or to the named ones.

        Without names, the policy names the fleet's tag, so it also covers adapters of later manifests. With
        `releases`, it always names tags, and also allows reading the routes. This does not isolate tenants:
        the container lets a request to one adapter name another in its body.

        adapters:
            Names of adapters. For a manifest that synth does not know, see `component_name`.
        components:
            Names of components, in addition to `adapters`.
        bearer_token:
            True allows requests to the adapters' `openai_base_url`, too.
        """
        if adapters is None and components is None:
            return self._grant_by_tags(grantee, None, bearer_token=bearer_token)
        with error_context(self):
            for setting, named in {"adapters": adapters, "components": components}.items():
                if named is not None and not named:
                    raise ValueError(f"'{setting}' should have at least one name or be left out, got none")
        if self.has_routes and components is None:
            names = list(adapters or ())
            for adapter in names:
                self._check_adapter(adapter)
        else:
            names = [self.component_name(adapter) for adapter in adapters or ()]
        for component in components or ():
            self._check_component("components", component)
            names.append(component)
        if len(names) > MOST_NAMED_GRANTS:
            raise ValueError(
                f"'{self.node.path}': 'adapters' and 'components' should name at most {MOST_NAMED_GRANTS}, as"
                f" a role's policies hold no more, got {len(names)}: leave them out for the whole fleet,"
                f" whose components have the tag {FLEET_TAG!r}, or grant by a tag of your own"
            )
        if self.has_routes and components is None:
            return self._grant_by_tags(grantee, names, bearer_token=bearer_token)
        arns = dict.fromkeys(arn for name in names for arn in component_arn_spellings(self, name))
        return grant_invoke(grantee, self.endpoint.endpoint_arn, *arns, bearer_token=bearer_token)

    def _grant_by_tags(
        self, grantee: iam.IGrantable, adapters: Sequence[str] | None, *, bearer_token: bool
    ) -> iam.Grant:
        registry = self._registry("called") if self.has_routes else None
        tags: dict[str, object] = {f"aws:ResourceTag/{FLEET_TAG}": self.fleet_uid}
        if adapters is not None:
            tags[f"aws:ResourceTag/{ADAPTER_TAG}"] = list(adapters)
        granted = grant_invoke(grantee, self.endpoint.endpoint_arn, bearer_token=bearer_token).combine(
            iam.Grant.add_to_principal(
                grantee=grantee,
                actions=list(INVOKE_ACTIONS),
                resource_arns=[component_arn(self, "*")],
                conditions={"StringEquals": tags},
            )
        )
        if registry is None:
            return granted
        return granted.combine(grant_routes(grantee, registry, ["*"] if adapters is None else adapters))

    def _check_adapter(self, adapter: str) -> None:
        with error_context(self):
            if self.component_names is not None and adapter not in self.component_names:
                raise _unknown("adapter", adapter, self.component_names)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` see the fleet's state: `adapters status`, `history` and `plan`.

        `plan` looks for archives under the endpoint's `artifact_sources`.
        """
        return self._operated("read").grant_read(grantee)

    def grant_manage(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` see the fleet, give it orders and write its manifest in S3.

        The commands are those of `grant_read`, and `apply`, `remove`, `rollback`, `promote`, `prune` and
        `import`. With `releases`, `grantee` may also write routes.

        It allows no change of a component, a generation or the history. The fleet carries out only
        these orders: retry a failed adapter, serve a version that served, take over an adapter of its own
        endpoint and base model that belongs to nobody, and delete an orphan. `adapters plan` and `import`
        read archives under the endpoint's `artifact_sources`.
        """
        operated = self._operated("managed")
        if self.state_machine is None:
            raise ValueError(
                f"fleet '{self.node.path}' should be imported with 'state_machine' to be managed, got None"
            )
        return operated.grant_manage(grantee, self.state_machine)

    def _check_component(self, setting: str, component: str) -> None:
        """Raise ValueError unless it may be the name of a component of this fleet."""
        with error_context(self):
            names = self.component_names
            if names is not None and not {component, self._declared(component)} & {*names.values()}:
                raise _unknown(setting, component, names.values())
            if TOKEN not in component:
                check_component_name(component, what=setting)

    def _declared(self, component: str) -> str:
        """Return the component of the manifest that a version's component is made of."""
        return without_version(component) if self.has_routes else component

    def _registry(self, doing: str) -> dynamodb.ITable:
        if self.registry is None:
            raise ValueError(
                f"fleet '{self.node.path}' should be imported with 'registry' to be {doing}, got None"
            )
        return self.registry

    def _operated(self, doing: str) -> OperatedFleet:
        return OperatedFleet(
            fleet=self,
            registry=self._registry(doing),
            stacks=self.stack_arns,
            components=component_arn(self, "*"),
            manifest=self.manifest_location,
            archives=self.endpoint.artifact_sources or (),
            has_routes=self.has_routes,
        )


@checked
@dataclass(frozen=True, kw_only=True)
class FleetMember(IInferenceComponent):
    """One adapter of a fleet. Made by the `adapter()` of a fleet.

    Example::

        fleet = AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest)
        member: FleetMember = fleet.adapter("ectsum")
        member.grant_invoke(caller)
    """

    fleet: IAdapterFleet
    component_name: str
    """The name that callers put into their requests."""

    def __post_init__(self) -> None:
        self.fleet._check_component("component_name", self.component_name)

    @property
    def _metrics_of(self) -> IConstruct:
        return self.fleet

    @property
    def _endpoint(self) -> IBaseComponent:
        return self.fleet.endpoint

    @property
    def _component_arns(self) -> Sequence[str]:
        return component_arn_spellings(self.fleet, self.component_name)


def checked_prefix(endpoint: IBaseComponent, given: str | None) -> str:
    """Return the beginning of the names of a fleet's components. Raises ValueError if it is not one."""
    prefix = endpoint.component_prefix if given is None else given
    if TOKEN not in prefix:
        check_component_prefix(prefix)
    return prefix


def stack_arn(scope: Construct, name: str) -> str:
    """Return the ARN of the CloudFormation stack of that name."""
    return stack_of(scope).format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")


def _unknown(setting: str, name: object, known: Collection[str]) -> ValueError:
    near = near_names(str(name), known)
    others = counted(len(known), "other") if known else "none"
    hint = f"did you mean {near[0]!r}?" if near else f"it has {others}"
    return ValueError(f"'{setting}' should be in the fleet's manifest ({hint}), got {name!r}")
