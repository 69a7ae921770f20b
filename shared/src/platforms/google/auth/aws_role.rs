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
            "The request that proves the AWS role can't be signed. Check audience and regional_cred_verification_url \
             in GOOGLE_EXTERNAL_ACCOUNT",
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
                "AWS credentials are temporarily unavailable. Adtrail retries automatically.",
            ),
            None,
        ),
    })?;
    let region = aws.region().ok_or_else(|| paused("The AWS region is unknown. Set AWS_REGION"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws";

    fn account(verification_url: &str) -> ExternalAccount {
        let keys = AwsKeys {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "example/secret+access/key".into(),
            session_token: Some("example+session/token==".into()),
            region: "eu-central-1".into(),
        };
        ExternalAccount {
            audience: AUDIENCE.into(),
            token_url: String::new(),
            service_account_impersonation_url: String::new(),
            regional_cred_verification_url: verification_url.into(),
            aws_keys: Some(keys),
        }
    }

    /// The signature is what Google's own library (google-auth 2 for Python) makes of the same.
    #[tokio::test]
    async fn the_role_signs_as_google_s_own_library_does() {
        let account = account("https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15");
        let token = signed_identity(&account, "2026-11-22T12:00:00Z".parse().unwrap()).await.unwrap();

        let (decoded, _) = url::form_urlencoded::parse(token.expose_secret().as_bytes()).next().unwrap();
        let request: serde_json::Value = serde_json::from_str(&decoded).unwrap();
        assert_eq!(
            request["url"],
            "https://sts.eu-central-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        );
        assert_eq!(request["method"], "POST");
        let mut headers: Vec<_> = request["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| (header["key"].as_str().unwrap(), header["value"].as_str().unwrap()))
            .collect();
        headers.sort_unstable();
        assert_eq!(
            headers,
            [
                (
                    "Authorization",
                    "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20261122/eu-central-1/sts/aws4_request, \
                     SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource, \
                     Signature=944efeeec949ddf49bc6101864e6ed5dc98fc257641cbd9b1669fe1cc8fb8358"
                ),
                ("host", "sts.eu-central-1.amazonaws.com"),
                ("x-amz-date", "20261122T120000Z"),
                ("x-amz-security-token", "example+session/token=="),
                ("x-goog-cloud-target-resource", AUDIENCE),
            ]
        );
    }

    #[tokio::test]
    async fn what_cannot_be_signed_says_what_to_check() {
        let outcome = signed_identity(&account("nowhere"), DateTime::UNIX_EPOCH).await.unwrap_err();
        assert!(
            matches!(outcome, Outcome::Paused(reason) if reason.message.contains("regional_cred_verification_url"))
        );
    }
}
