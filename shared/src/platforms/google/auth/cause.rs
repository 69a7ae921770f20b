//! The likely causes of lasting refusals, each with its fix.

use reqwest::StatusCode;

use super::refusal::{Authority, Said};

/// A sentence for the operator, without its full stop.
pub(super) fn of(authority: Authority, status: StatusCode, said: &Said) -> &'static str {
    match authority {
        Authority::ServiceAccount => service_account(said),
        Authority::RefreshToken => refresh_token(said),
        Authority::SecurityTokenService => security_token_service(said),
        Authority::IamCredentials => iam_credentials(status, said),
    }
}

/// Codes and causes: "Using OAuth 2.0 for Server to Server Applications", JWT error codes.
fn service_account(said: &Said) -> &'static str {
    let about = |part: &str| said.description.contains(part);
    match said.code.as_str() {
        "invalid_grant" if about("short-lived token") || about("iat") => {
            "This machine's clock is wrong: the assertion's times differ from Google's by minutes. Correct the clock"
        }
        "invalid_grant" if about("Signature") => {
            "The key does not belong to the service account: it was deleted, disabled or replaced, or files were \
             mixed up. Make a new key and set GOOGLE_SERVICE_ACCOUNT_KEY"
        }
        "invalid_grant" if about("not found") || about("email") => {
            "The service account of GOOGLE_SERVICE_ACCOUNT_KEY no longer exists. Create one, add it to the Google \
             Ads account as a user, and set its key"
        }
        "invalid_grant" => {
            "The service account's key is no longer valid: the key or the account was deleted or disabled, or this \
             machine's clock is wrong. Set a new GOOGLE_SERVICE_ACCOUNT_KEY"
        }
        "invalid_scope" | "access_denied" | "admin_policy_enforced" | "unauthorized_client" => {
            "The service account may not have the scopes datamanager and adwords. Enable the Data Manager API and the \
             Google Ads API in its Cloud project, or ask the organization's administrator"
        }
        _ => "The service account's key was refused. Check GOOGLE_SERVICE_ACCOUNT_KEY",
    }
}

/// Codes and causes: "Using OAuth 2.0 to Access Google APIs", refresh token expiration.
fn refresh_token(said: &Said) -> &'static str {
    match said.code.as_str() {
        "invalid_grant" if said.detail == "invalid_rapt" => {
            "The organization's session control asks people to sign in again. Exempt this app from it, or switch to a \
             service account; until then authorize again and set a new GOOGLE_REFRESH_TOKEN"
        }
        "invalid_grant" => {
            "The refresh token is no longer valid: it expires after 7 days while the consent screen is in Testing, \
             after six months without use, and at once when it is revoked or the client has issued too many newer \
             ones. Authorize again and set a new GOOGLE_REFRESH_TOKEN"
        }
        "invalid_client" | "deleted_client" | "disabled_client" | "unauthorized_client" => {
            "The OAuth client is unknown, disabled, or not the one that the refresh token was issued for. Check \
             GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"
        }
        "invalid_scope" | "access_denied" | "admin_policy_enforced" | "org_internal" => {
            "The person may not use the Data Manager API with this client. Authorize again with both scopes, \
             datamanager and adwords, or ask the organization's administrator"
        }
        _ => {
            "The refresh token was refused. Check GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET and GOOGLE_REFRESH_TOKEN, \
             which belong together"
        }
    }
}

/// Codes: RFC 8693 section 2.2.2. Causes: "Troubleshoot Workload Identity Federation".
fn security_token_service(said: &Said) -> &'static str {
    let about = |part: &str| said.description.contains(part);
    match said.code.as_str() {
        "invalid_target" => {
            "The workload identity pool or its provider does not exist, is disabled or was deleted. Compare audience \
             in GOOGLE_EXTERNAL_ACCOUNT with the provider's resource name"
        }
        "invalid_grant" if about("expired") || about("not yet current") => {
            "AWS refused the role's signature because of its time. This machine's clock is wrong, or the role's \
             credentials have expired"
        }
        "invalid_grant" => {
            "Authentication of the AWS role failed: the provider in the workload identity pool must name the AWS \
             account this function runs in, and the clock must be correct"
        }
        "unauthorized_client" | "access_denied" => {
            "The provider's attribute condition does not admit this AWS role. Change the condition, or the function's \
                 role"
        }
        _ if said.detail == "SERVICE_DISABLED" => {
            "The Security Token Service API is disabled. Enable sts.googleapis.com in the pool's Cloud project"
        }
        _ => {
            "The Security Token Service can't use GOOGLE_EXTERNAL_ACCOUNT. Create it again: gcloud iam \
             workload-identity-pools create-cred-config … --aws --service-account=…"
        }
    }
}

/// Causes: "Troubleshoot Workload Identity Federation" and the `generateAccessToken` method.
fn iam_credentials(status: StatusCode, said: &Said) -> &'static str {
    match status.as_u16() {
        _ if said.detail == "SERVICE_DISABLED" => {
            "The IAM Service Account Credentials API is disabled. Enable iamcredentials.googleapis.com in the \
             service account's Cloud project"
        }
        401 => {
            "The IAM Credentials API refused the pool's token. Compare service_account_impersonation_url in \
             GOOGLE_EXTERNAL_ACCOUNT with one that gcloud creates again"
        }
        403 => {
            "The AWS role may not impersonate the service account. Grant it roles/iam.workloadIdentityUser on the \
             service account (a role with iam.serviceAccounts.getAccessToken, such as Service Account Token Creator, \
             works, too), and check that the account in service_account_impersonation_url exists"
        }
        404 => {
            "There is no such service account. Check its e-mail address in service_account_impersonation_url of \
             GOOGLE_EXTERNAL_ACCOUNT"
        }
        _ => {
            "No token was issued for the service account. Check service_account_impersonation_url in \
             GOOGLE_EXTERNAL_ACCOUNT, and that the account is not disabled"
        }
    }
}
