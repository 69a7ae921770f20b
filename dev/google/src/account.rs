//! The advertiser's account that the sandbox stands for, and the credentials that reach it.

use std::collections::BTreeSet;
use std::fmt;

use crate::access;

/// The advertiser's Google Ads account, the only one unless [`crate::GoogleSandbox::add_account`] adds others, and who
/// may write to it and to them.
#[derive(Clone, Debug)]
pub struct GoogleAccount {
    /// Ten digits without hyphens: what is accepted as `operatingAccount.accountId`.
    pub customer_id: String,
    /// The manager account through which the credentials reach the customer, ten digits. With
    /// `None` they have direct access, and a manager in `loginAccount` is refused.
    pub login_customer_id: Option<String>,
    /// The numeric ids that are valid as `productDestinationId`, and at the end of a `conversionAction`.
    pub conversion_actions: BTreeSet<String>,
    /// Whether the Google Ads API accepts its click conversions. Since June 2026 it accepts only existing customers'.
    /// Adjustments are open to everyone.
    pub allow_listed_for_click_uploads: bool,
    /// What the `refresh_token` grant must present.
    pub refresh_token: RefreshTokenCredentials,
    /// Who may sign a `jwt-bearer` assertion. With `None` no service account is known.
    pub service_account: Option<ServiceAccount>,
    /// Which AWS role may speak for which service account. With `None` there is no workload
    /// identity pool.
    pub workload_identity: Option<WorkloadIdentity>,
}

/// An OAuth client and the refresh token that was minted for it.
#[derive(Clone)]
pub struct RefreshTokenCredentials {
    /// The OAuth client.
    pub client_id: String,
    /// The OAuth client's secret.
    pub client_secret: String,
    /// The only refresh token that has not been revoked.
    pub refresh_token: String,
    /// What the person agreed to: addresses of scopes.
    pub scopes: BTreeSet<String>,
}

impl fmt::Debug for RefreshTokenCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokenCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A service account as Google knows it: by name and public key.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// The `iss` claim of its assertions.
    pub client_email: String,
    /// Its RSA public key of 2048 to 8192 bits, as a PKCS#1 `RSAPublicKey` in DER: what ring's
    /// `RsaKeyPair::public()` yields.
    pub public_key_der: Vec<u8>,
}

/// A workload identity pool's provider, the one AWS role it lets in, and the service account that
/// the role may speak for.
#[derive(Clone, Debug)]
pub struct WorkloadIdentity {
    /// The provider's full resource name: `//iam.googleapis.com/projects/…/providers/…`.
    pub audience: String,
    /// Who may sign.
    pub role: AwsRole,
    /// The service account's e-mail address.
    pub client_email: String,
}

/// An AWS role as AWS knows it: by its temporary keys.
#[derive(Clone)]
pub struct AwsRole {
    /// Public.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Goes with every request.
    pub session_token: String,
}

impl fmt::Debug for AwsRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsRole").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl GoogleAccount {
    /// The account of local development: fixed values that can't be mistaken for real ones.
    #[must_use]
    pub fn dev() -> Self {
        Self {
            customer_id: "1234567890".to_owned(),
            login_customer_id: None,
            conversion_actions: ["987654320", "987654321", "987654322", "987654323"].map(str::to_owned).into(),
            allow_listed_for_click_uploads: true,
            refresh_token: RefreshTokenCredentials {
                client_id: "dev-client-id".to_owned(),
                client_secret: "dev-client-secret".to_owned(),
                refresh_token: "dev-refresh-token".to_owned(),
                scopes: [access::DATAMANAGER, access::ADWORDS].map(str::to_owned).into(),
            },
            service_account: None,
            workload_identity: None,
        }
    }
}
