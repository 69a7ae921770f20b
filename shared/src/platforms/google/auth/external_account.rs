//! A service account without a key: the AWS role proves itself to Google and speaks for the account ("Workload Identity
//! Federation"; AIP-4117, "External Account Credentials").

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Scope;
use super::aws_role::{self, AwsKeys};
use super::refusal::Authority;
use super::token::{self, Token};
use crate::outgoing::endpoint;
use crate::platforms::Outcome;

const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What the pool's token must be good for to ask for the service account's.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that needs no change of the organization's policy.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The credential configuration that `gcloud iam workload-identity-pools create-cred-config … --aws` writes. No secret.
#[derive(Clone)]
pub struct ExternalAccount {
    /// The workload identity pool's provider: its full resource name.
    pub audience: String,
    /// The Security Token Service.
    pub token_url: String,
    /// Where the service account's tokens are to be had.
    pub service_account_impersonation_url: String,
    /// Where AWS says who signed a request; `{region}` stands for the region.
    pub regional_cred_verification_url: String,
    /// The role's keys. By default the SDK looks for them.
    pub aws_keys: Option<AwsKeys>,
}

impl ExternalAccount {
    /// Reads the credential configuration.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn parse(text: &str, aws_keys: Option<AwsKeys>) -> Result<Self, String> {
        const ANEW: &str =
            "make it with gcloud iam workload-identity-pools create-cred-config … --aws --service-account=…";
        let file: Value =
            serde_json::from_str(text).map_err(|_| format!("must be a JSON credential configuration: {ANEW}"))?;
        match file["type"].as_str() {
            Some("external_account") => {}
            Some("service_account") => {
                return Err("holds a service account's key: set it as GOOGLE_SERVICE_ACCOUNT_KEY instead".into());
            }
            _ => return Err(format!("must be a configuration of type external_account: {ANEW}")),
        }
        let source = &file["credential_source"];
        match source["environment_id"].as_str() {
            Some("aws1") => {}
            Some(_) => {
                return Err(format!("has an environment_id other than aws1, which Adtrail doesn't know: {ANEW}"));
            }
            None => {
                return Err(format!(
                    "takes its token from a file, a URL or a program, and Adtrail only proves itself by its AWS role: \
                     {ANEW}"
                ));
            }
        }
        let field = |object: &Value, name: &str| match object[name].as_str() {
            Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(format!("lacks {name}: {ANEW}")),
        };
        let url = |name: &str| endpoint(&field(&file, name)?).map_err(|problem| format!("has a {name} that {problem}"));
        if field(&file, "subject_token_type")? != SUBJECT_TOKEN_TYPE {
            return Err(format!("is for another provider than AWS: {ANEW}"));
        }
        let audience = field(&file, "audience")?;
        let is_provider = audience.trim_start_matches("https:").starts_with("//iam.googleapis.com/");
        if !is_provider || !audience.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(format!("has an audience that is no workload identity pool's provider: {ANEW}"));
        }
        let service_account_impersonation_url = url("service_account_impersonation_url")?;
        if !service_account_impersonation_url.ends_with(":generateAccessToken") {
            return Err(format!("has a service_account_impersonation_url that gives no access token: {ANEW}"));
        }
        let verification_url = field(source, "regional_cred_verification_url")?;
        endpoint(&verification_url.replace("{region}", "us-east-1"))
            .map_err(|problem| format!("has a regional_cred_verification_url that {problem}"))?;
        Ok(Self {
            audience,
            token_url: url("token_url")?,
            service_account_impersonation_url,
            regional_cred_verification_url: verification_url,
            aws_keys,
        })
    }

    /// The service account's token: the role's signature for a token of the pool, and that for the account's.
    pub(super) async fn token(
        &self,
        token_url: &str,
        http: &reqwest::Client,
        now: DateTime<Utc>,
    ) -> Result<Token, Outcome> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Generated {
            access_token: SecretString,
            expire_time: Option<DateTime<Utc>>,
        }
        let subject = aws_role::signed_identity(self, now).await?;
        let exchange = http.post(token_url).form(&[
            ("grant_type", TOKEN_EXCHANGE),
            ("audience", &self.audience),
            ("scope", CLOUD_PLATFORM),
            ("requested_token_type", ACCESS_TOKEN_TYPE),
            ("subject_token_type", SUBJECT_TOKEN_TYPE),
            ("subject_token", subject.expose_secret()),
        ]);
        let pool = token::ask(exchange, Authority::SecurityTokenService, now).await?;

        let generate = http
            .post(&self.service_account_impersonation_url)
            .bearer_auth(pool.secret.expose_secret())
            .json(&json!({"scope": Scope::ALL.map(Scope::url), "lifetime": format!("{}s", LIFETIME.num_seconds())}));
        let generated: Generated = token::read(generate, Authority::IamCredentials).await?;
        // By our clock, if Google's is ahead of it.
        let lifetime = generated.expire_time.map_or(LIFETIME, |end| (end - now).clamp(TimeDelta::zero(), LIFETIME));
        Token::new(generated.access_token, lifetime, now).ok_or_else(|| token::unreadable(Authority::IamCredentials))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Value {
        json!({
            "universe_domain": "googleapis.com",
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws",
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url":
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@example.com:generateAccessToken",
            "credential_source": {
                "environment_id": "aws1",
                "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
                "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
                "regional_cred_verification_url":
                    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            },
        })
    }

    #[test]
    fn gcloud_s_configuration_is_taken_as_it_is() {
        let account = ExternalAccount::parse(&file().to_string(), None);
        assert!(account.is_ok(), "{:?}", account.err());
    }

    #[test]
    fn any_other_configuration_is_refused_with_the_fix() {
        let from = |source: Value| ("credential_source", source);
        for ((name, value), fix) in [
            (("type", json!("service_account")), "GOOGLE_SERVICE_ACCOUNT_KEY"),
            (("type", json!("authorized_user")), "create-cred-config"),
            (("audience", Value::Null), "lacks audience"),
            (("audience", json!("https://example.com")), "audience"),
            (("subject_token_type", json!("urn:ietf:params:oauth:token-type:jwt")), "another provider than AWS"),
            (("token_url", json!("http://sts.googleapis.com/v1/token")), "token_url that must start with https"),
            (("token_url", json!("sts")), "token_url that must be a URL"),
            (("service_account_impersonation_url", Value::Null), "--service-account="),
            (("service_account_impersonation_url", json!("http://example.com/a:generateAccessToken")), "https"),
            (("service_account_impersonation_url", json!("https://example.com/a")), "gives no access token"),
            (from(json!({"file": "/token"})), "from a file, a URL or a program"),
            (from(json!({"url": "http://169.254.169.254/metadata/identity/oauth2/token"})), "from a file, a URL"),
            (from(json!({"executable": {"command": "/bin/token"}})), "a program"),
            (from(json!({"environment_id": "aws2"})), "other than aws1"),
            (from(json!({"environment_id": "aws1"})), "lacks regional_cred_verification_url"),
            (
                from(
                    json!({"environment_id": "aws1", "regional_cred_verification_url": "http://sts.{region}.a.example"}),
                ),
                "https",
            ),
        ] {
            let mut file = file();
            file[name] = value;
            let problem = ExternalAccount::parse(&file.to_string(), None).err().unwrap();
            assert!(problem.contains(fix), "{problem}");
        }
        assert!(ExternalAccount::parse("/var/task/wif.json", None).err().unwrap().contains("must be a JSON"));
    }
}
