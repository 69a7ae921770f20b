//! The AWS role's word for who it is: a signed request that Google sends on to AWS.

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Position;

use super::external_account::ExternalAccount;
use crate::platforms::{Outcome, Reason};

/// An AWS role's keys and region, as Lambda puts them into the environment.
#[derive(Clone)]
pub struct AwsKeys {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: SecretString,
    /// `AWS_SESSION_TOKEN`. A role has one.
    pub session_token: Option<SecretString>,
    /// `AWS_REGION`.
    pub region: String,
}

impl AwsKeys {
    fn credentials(&self) -> Credentials {
        let session_token = self.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        Credentials::new(
            &self.access_key_id,
            self.secret_access_key.expose_secret(),
            session_token,
            None,
            "environment",
        )
    }
}

/// A `GetCallerIdentity` request, signed for this provider and no other, in the form that the Security Token Service
/// takes as `subject_token`: JSON, percent-encoded.
pub(super) async fn signed_identity(account: &ExternalAccount, now: DateTime<Utc>) -> Result<SecretString, Outcome> {
    let (credentials, region) = match &account.aws_keys {
        Some(keys) => (keys.credentials(), keys.region.clone()),
        None => look_up().await?,
    };
    let url = account.regional_cred_verification_url.replace("{region}", &region);
    signed_request(&url, &account.audience, credentials, &region, now).ok_or_else(|| {
        paused(
            "The request that proves the AWS role can't be signed. Check audience and regional_cred_verification_url in \
             GOOGLE_EXTERNAL_ACCOUNT",
        )
    })
}

async fn look_up() -> Result<(Credentials, String), Outcome> {
    const NO_ROLE: &str = "GOOGLE_EXTERNAL_ACCOUNT needs an AWS role, and there are no AWS credentials here. Give the \
                           function a role; elsewhere set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION";
    let aws = crate::aws::sdk_config().await;
    let provider = aws.credentials_provider().ok_or_else(|| paused(NO_ROLE))?;
    let credentials = provider.provide_credentials().await.map_err(|error| match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => paused(NO_ROLE),
        _ => Outcome::Unavailable(
            Reason::new(
                "aws_credentials_unavailable",
                "AWS gave no credentials for now. Adtrail tries again by itself.",
            ),
            None,
        ),
    })?;
    let region = aws.region().ok_or_else(|| paused("The AWS region isn't known. Set AWS_REGION"))?;
    Ok((credentials, region.to_string()))
}

fn paused(fix: &str) -> Outcome {
    Outcome::Paused(Reason::new("aws_role", format!("{fix}.")))
}

fn signed_request(
    url: &str,
    audience: &str,
    credentials: Credentials,
    region: &str,
    now: DateTime<Utc>,
) -> Option<SecretString> {
    let parsed = url::Url::parse(url).ok()?;
    let host = &parsed[Position::BeforeHost..Position::AfterPort];
    // Signed, so that nobody can present the request to another provider.
    let own = [("host", host), ("x-goog-cloud-target-resource", audience)];
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now.into())
        .settings(SigningSettings::default())
        .build()
        .ok()?;
    let request = SignableRequest::new("POST", url, own.into_iter(), SignableBody::Bytes(&[])).ok()?;
    let (signed, _) = sign(request, &parameters.into()).ok()?.into_parts();
    let headers: Vec<_> = own
        .into_iter()
        .chain(signed.headers())
        .map(|(key, value)| json!({"key": if key == "authorization" { "Authorization" } else { key }, "value": value}))
        .collect();
    let request = json!({"url": url, "method": "POST", "headers": headers}).to_string();
    Some(SecretString::from(url::form_urlencoded::byte_serialize(request.as_bytes()).collect::<String>()))
}
