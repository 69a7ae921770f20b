//! What AWS refuses, and the fix.

use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata};

use crate::{Failure, visible};

/// Why AWS doesn't do what was asked, and the fix: together one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsProblem {
    pub problem: String,
    pub fix: String,
}

/// What was asked.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// As IAM calls it, such as `sqs:SendMessage`.
    pub action: &'a str,
    /// What it was about, such as `stack adtrail`.
    pub of: &'a str,
    /// What to correct if that doesn't exist, such as `--stack`.
    pub named_by: &'a str,
    pub region: Option<&'a str>,
}

impl AwsProblem {
    pub(crate) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { problem: problem.into(), fix: fix.into() }
    }

    pub(crate) fn no_region() -> Self {
        Self::new(
            "No AWS region is set",
            "export the region of the stack, the nearest one to the database, such as export AWS_REGION=eu-central-1",
        )
    }

    pub(crate) fn no_stack(name: &str, region: &str) -> Self {
        Self::missing(&format!("stack {name}"), region, "--stack")
    }

    fn missing(what: &str, region: &str, named_by: &str) -> Self {
        let problem = format!("There is no {what} in the region {region}");
        Self::new(problem, format!("correct {named_by}, or set AWS_REGION to its region"))
    }

    pub(crate) fn too_late() -> Self {
        Self::new("AWS doesn't answer in time", "check AWS_REGION, the network and, if it is set, AWS_ENDPOINT_URL")
    }

    /// Of a call that failed.
    pub(crate) fn of(error: &(impl ProvideErrorMetadata + std::error::Error), call: Call) -> Self {
        let Call { action, of, named_by, region } = call;
        let Some(region) = region else { return Self::no_region() };
        let Some(code) = error.code() else { return without_an_answer(error, region) };
        let said = error.message().unwrap_or_default();
        // SQS puts the name of its service before it.
        match code.rsplit('.').next().unwrap_or_default() {
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" | "TokenRefreshRequired" => {
                Self::new("The AWS credentials have expired", "log in again, then run this again")
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "AuthFailure"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::new(
                "AWS refuses these credentials",
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN or the profile, and this \
                 machine's clock; aws sts get-caller-identity must answer",
            ),
            _ if is_denied(code) => Self::new(
                format!("These AWS credentials may not call {action} on the {of} in {region}"),
                "allow it to their user or role, or use other credentials",
            ),
            "NonExistentQueue" | "QueueDoesNotExist" | "ResourceNotFoundException" => {
                Self::missing(of, region, named_by)
            }
            // CloudFormation's word for a stack that isn't there.
            "ValidationError" if action == "cloudformation:DescribeStacks" => Self::missing(of, region, named_by),
            "InvalidRequestException" if said.contains("delet") => Self::new(
                format!("The {of} is scheduled for deletion"),
                format!("restore it with aws secretsmanager restore-secret, or choose another name with {named_by}"),
            ),
            "ResourceExistsException" => {
                Self::new(format!("The {of} has been made by somebody else meanwhile"), "run this again")
            }
            "DecryptionFailure" | "EncryptionFailure" => Self::new(
                format!("The {of} has a KMS key that these AWS credentials may not use"),
                "give it the default key, aws/secretsmanager",
            ),
            "Throttling" | "ThrottlingException" | "RequestThrottled" | "TooManyRequestsException" => {
                Self::new("AWS answers that there are too many requests", "run this again in a minute")
            }
            code => Self::new(
                format!("AWS refuses {action} on the {of} in {region} ({})", explained(code, said)),
                "run this again in a minute; if the code stays, look it up in the documentation of the service",
            ),
        }
    }
}

/// Is it a right that is missing?
pub(crate) fn is_denied(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "UnauthorizedOperation")
}

/// The region that is chosen. `AWS_REGION` may be set and empty.
pub(crate) fn region(aws: &SdkConfig) -> Option<&str> {
    aws.region().map(AsRef::as_ref).filter(|region| !region.trim().is_empty())
}

fn explained(code: &str, said: &str) -> String {
    let said = said.trim().trim_end_matches('.');
    if said.is_empty() { code.to_owned() } else { format!("{code}: {}", visible::short(said)) }
}

fn without_an_answer(error: &dyn std::error::Error, region: &str) -> AwsProblem {
    let said = DisplayErrorContext(error).to_string().to_ascii_lowercase();
    if said.contains("credential") || said.contains("identity") {
        return AwsProblem::new(
            "There are no AWS credentials that adtrail can use",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; after aws sso login or aws login, eval \"$(aws configure \
             export-credentials --format env)\" does so",
        );
    }
    AwsProblem::new(
        format!("AWS gives no answer in the region {}", visible::short(region)),
        "check the name of the region, the network and, if it is set, AWS_ENDPOINT_URL",
    )
}

impl fmt::Display for AwsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}.", self.problem, self.fix)
    }
}

impl From<AwsProblem> for Failure {
    fn from(problem: AwsProblem) -> Self {
        Self::Message(problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::ErrorMetadata;

    use super::*;

    /// An answer of AWS with this code.
    #[derive(Debug, thiserror::Error)]
    #[error("refused")]
    struct Answered(ErrorMetadata);

    impl ProvideErrorMetadata for Answered {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn sentence(code: &str, said: &str) -> String {
        let error = Answered(ErrorMetadata::builder().code(code).message(said).build());
        let call = Call {
            action: "sqs:SendMessage",
            of: "queue adtrail-spool",
            named_by: "SPOOL_QUEUE_URL",
            region: Some("eu-central-1"),
        };
        AwsProblem::of(&error, call).to_string()
    }

    #[test]
    fn each_code_is_one_sentence_with_the_fix() {
        for (code, said) in [
            ("ExpiredToken", "have expired: log in again"),
            ("InvalidClientTokenId", "AWS refuses these credentials: check"),
            ("AccessDenied", "may not call sqs:SendMessage on the queue adtrail-spool in eu-central-1: allow it"),
            (
                "AWS.SimpleQueueService.NonExistentQueue",
                "There is no queue adtrail-spool in the region eu-central-1: correct SPOOL_QUEUE_URL, or set AWS_REGION",
            ),
            ("Throttling", "run this again in a minute"),
            ("InternalServiceError", "(InternalServiceError: oops): run this again in a minute; if the code stays"),
        ] {
            let sentence = sentence(code, "oops.");
            assert!(sentence.contains(said) && sentence.ends_with('.'), "{code}: {sentence}");
        }
        assert!(sentence("Unknown", &"x".repeat(10_000)).len() < 400);
    }
}
