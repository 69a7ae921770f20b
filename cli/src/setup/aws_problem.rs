//! What AWS refuses, as one sentence with the fix.

use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// Of a call such as `GetSecretValue` on the secret of this name.
pub(crate) fn sentence<E>(error: &SdkError<E>, call: &str, secret: &str, region: &str) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let said = error.message().unwrap_or_default();
    match error.code() {
        Some("ExpiredTokenException" | "ExpiredToken" | "RequestExpired" | "TokenRefreshRequired") => {
            "The AWS credentials have expired: log in again, then run this again.".into()
        }
        Some(
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException",
        ) => "AWS refuses these credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN or \
              the profile, and this machine's clock; aws sts get-caller-identity must answer."
            .into(),
        Some("AccessDeniedException" | "AccessDenied") => format!(
            "These AWS credentials may not call secretsmanager:{call} on {secret} in {region}: get this right, or use \
             --secret-file and have somebody with the right store the file."
        ),
        Some("InvalidRequestException") if said.contains("delet") => format!(
            "The secret {secret} is scheduled for deletion: run aws secretsmanager restore-secret --secret-id \
             {secret}, or choose another name with --secret."
        ),
        Some("ResourceExistsException") => {
            format!("The secret {secret} has been made by somebody else meanwhile: run this again.")
        }
        Some("DecryptionFailure" | "EncryptionFailure") => format!(
            "The secret {secret} has a KMS key that these AWS credentials may not use: give it the default key, \
             aws/secretsmanager."
        ),
        Some(code) => {
            format!("AWS refuses {call} for {secret} in {region}: {code}, {said}").trim_end_matches(", ").into()
        }
        None => without_an_answer(error, region),
    }
}

fn without_an_answer<E: std::error::Error + 'static>(error: &SdkError<E>, region: &str) -> String {
    let said = DisplayErrorContext(error).to_string().to_ascii_lowercase();
    if said.contains("credential") || said.contains("identity") {
        return "There are no AWS credentials that adtrail can use: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; \
                after aws sso login or aws login, eval \"$(aws configure export-credentials --format env)\" does so."
            .into();
    }
    format!(
        "Secrets Manager in {region} gives no answer: check the name of the region, the network and, if it is set, \
         AWS_ENDPOINT_URL."
    )
}
