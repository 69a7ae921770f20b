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
            "This machine's clock is wrong: the assertion's times are more than minutes away from Google's. Set the clock"
        }
        "invalid_grant" if about("Signature") => {
            "The key doesn't belong to the service account: it was deleted, disabled or replaced, or another file was \
             pasted in part. Make a new key and set GOOGLE_SERVICE_ACCOUNT_KEY"
        }
        "invalid_grant" if about("not found") || about("email") => {
            "The service account of GOOGLE_SERVICE_ACCOUNT_KEY doesn't exist any more. Make one, add it to the Google \
             Ads account as a user, and set its key"
        }
        "invalid_grant" => {
            "The service account's key no longer counts: the key or the account was deleted or disabled, or this \
             machine's clock is wrong. Set GOOGLE_SERVICE_ACCOUNT_KEY anew"
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
            "The organization's session control asks people to sign in again. Exempt this app from it, or go over to a \
             service account; until then agree again and set GOOGLE_REFRESH_TOKEN anew"
        }
        "invalid_grant" => {
            "The refresh token no longer counts: of a consent screen in Testing it ends after 7 days, unused after six \
             months, and at once when it is revoked or the client has made too many newer ones. Agree again and set \
             GOOGLE_REFRESH_TOKEN anew"
        }
        "invalid_client" | "deleted_client" | "disabled_client" | "unauthorized_client" => {
            "The OAuth client isn't known, is disabled, or isn't the one that the refresh token was made for. Check \
             GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"
        }
        "invalid_scope" | "access_denied" | "admin_policy_enforced" | "org_internal" => {
            "The person may not use the Data Manager API with this client. Agree again with both scopes, datamanager \
             and adwords, or ask the organization's administrator"
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
            "The workload identity pool or its provider doesn't exist, is disabled or was deleted. Compare audience in \
             GOOGLE_EXTERNAL_ACCOUNT with the provider's resource name"
        }
        "invalid_grant" if about("expired") || about("not yet current") => {
            "AWS refused the role's signature because of its time. This machine's clock is wrong, or the role's \
             credentials have ended"
        }
        "invalid_grant" => {
            "Google didn't take the AWS role's word: the provider in the workload identity pool must be of the AWS \
             account this function runs in, and the clock right"
        }
        "unauthorized_client" | "access_denied" => {
            "The provider's attribute condition doesn't let this AWS role in. Change the condition, or the function's role"
        }
        _ if said.detail == "SERVICE_DISABLED" => {
            "The Security Token Service API is switched off. Enable sts.googleapis.com in the pool's Cloud project"
        }
        _ => {
            "The Security Token Service can't use GOOGLE_EXTERNAL_ACCOUNT. Make it anew: gcloud iam \
             workload-identity-pools create-cred-config … --aws --service-account=…"
        }
    }
}

/// Causes: "Troubleshoot Workload Identity Federation" and the `generateAccessToken` method.
fn iam_credentials(status: StatusCode, said: &Said) -> &'static str {
    match status.as_u16() {
        _ if said.detail == "SERVICE_DISABLED" => {
            "The IAM Service Account Credentials API is switched off. Enable iamcredentials.googleapis.com in the \
             service account's Cloud project"
        }
        401 => {
            "The service account's door didn't take the token of the pool. Compare service_account_impersonation_url \
             in GOOGLE_EXTERNAL_ACCOUNT with one that gcloud makes anew"
        }
        403 => {
            "The AWS role may not speak for the service account. Grant it roles/iam.workloadIdentityUser on the service \
             account (a role with iam.serviceAccounts.getAccessToken, such as Service Account Token Creator, does, \
             too), and check that the account in service_account_impersonation_url exists"
        }
        404 => {
            "There is no such service account. Check its e-mail address in service_account_impersonation_url of \
             GOOGLE_EXTERNAL_ACCOUNT"
        }
        _ => {
            "The service account gave no token. Check service_account_impersonation_url in GOOGLE_EXTERNAL_ACCOUNT, \
             and that the account isn't disabled"
        }
    }
}
