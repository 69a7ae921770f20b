//! What it means when an authority gives no token.

use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::Value;

use crate::platforms::{Outcome, Reason};

/// Who is asked for a token, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// The OAuth endpoint, with an assertion that a service account's key signed.
    ServiceAccount,
    /// The OAuth endpoint, with a refresh token.
    RefreshToken,
    /// The Security Token Service, with a request that the AWS role signed.
    SecurityTokenService,
    /// The IAM Service Account Credentials API, in the name of the AWS role.
    IamCredentials,
}

impl Authority {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount | Self::RefreshToken => "Google's token endpoint",
            Self::SecurityTokenService => "Google's Security Token Service",
            Self::IamCredentials => "Google's IAM Service Account Credentials API",
        }
    }
}

/// An answer that is no success.
pub(super) struct Refusal<'a> {
    pub(super) authority: Authority,
    pub(super) status: StatusCode,
    /// How long the authority asks us to wait.
    pub(super) retry_after: Option<TimeDelta>,
    pub(super) body: &'a [u8],
}

/// An error as OAuth shapes it (RFC 6749 section 5.2), or as Google's other APIs do (`google.rpc.Status`).
#[derive(Default)]
struct Said {
    /// `error`, or the status' name. Empty if there is none.
    code: String,
    /// `error_subtype`, or the reason of the `ErrorInfo`.
    detail: String,
    description: String,
}

impl Said {
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let error = &body["error"];
        Some(if error.is_object() {
            let reasons = error["details"].as_array().into_iter().flatten();
            let detail = reasons.map(|detail| text(&detail["reason"])).find(|reason| !reason.is_empty());
            Self {
                code: text(&error["status"]),
                detail: detail.unwrap_or_default(),
                description: text(&error["message"]),
            }
        } else {
            Self {
                code: text(error),
                detail: text(&body["error_subtype"]),
                description: text(&body["error_description"]),
            }
        })
    }
}

impl Refusal<'_> {
    /// What lasts pauses the platform with the likely cause; everything else passes.
    pub(super) fn outcome(&self) -> Outcome {
        let (name, status) = (self.authority.name(), self.status);
        let passing = |what: &str| {
            let message = format!("{name} answered {status}{what}. Adtrail tries again by itself.");
            Outcome::Unavailable(Reason::new("token_endpoint_unavailable", message), self.retry_after)
        };
        // The codes are those Google's own libraries try again after.
        let passes = |code: &str| {
            matches!(code, "internal_failure" | "server_error" | "temporarily_unavailable" | "rate_limit_exceeded")
        };
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return passing("");
        }
        // A page of some proxy, or half an answer.
        let Some(said) = Said::read(self.body) else { return passing(" and nothing that Google would say") };
        if passes(&said.code) || passes(&said.description) {
            return passing("");
        }
        let fix = self.fix(&said);
        let code = if said.code.is_empty() { format!("http_{}", status.as_u16()) } else { said.code };
        let quoted =
            if said.description.is_empty() { String::new() } else { format!(" Google said: {}", said.description) };
        Outcome::Paused(Reason::new(code, format!("{fix}.{quoted}")))
    }

    fn fix(&self, said: &Said) -> &'static str {
        match self.authority {
            Authority::ServiceAccount => service_account_fix(said),
            Authority::RefreshToken => refresh_token_fix(said),
            Authority::SecurityTokenService => security_token_service_fix(said),
            Authority::IamCredentials => iam_credentials_fix(self.status, said),
        }
    }
}

/// Codes and causes: "Using OAuth 2.0 for Server to Server Applications", JWT error codes.
fn service_account_fix(said: &Said) -> &'static str {
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
fn refresh_token_fix(said: &Said) -> &'static str {
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
fn security_token_service_fix(said: &Said) -> &'static str {
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
fn iam_credentials_fix(status: StatusCode, said: &Said) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use Authority::{IamCredentials, RefreshToken, SecurityTokenService, ServiceAccount};

    const ALL: [Authority; 4] = [ServiceAccount, RefreshToken, SecurityTokenService, IamCredentials];

    fn outcome(authority: Authority, status: u16, body: &str) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal { authority, status, retry_after: None, body: body.as_bytes() }.outcome()
    }

    #[test]
    fn every_documented_refusal_pauses_with_its_likely_cause() {
        for (authority, status, code, body, cause) in [
            (
                RefreshToken,
                400,
                "invalid_grant",
                r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
                "7 days",
            ),
            (
                RefreshToken,
                400,
                "invalid_grant",
                r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#,
                "session control",
            ),
            (RefreshToken, 401, "invalid_client", r#"{"error":"invalid_client"}"#, "GOOGLE_CLIENT_SECRET"),
            (RefreshToken, 401, "unauthorized_client", r#"{"error":"unauthorized_client"}"#, "GOOGLE_CLIENT_ID"),
            (RefreshToken, 401, "deleted_client", r#"{"error":"deleted_client"}"#, "GOOGLE_CLIENT_ID"),
            (RefreshToken, 400, "admin_policy_enforced", r#"{"error":"admin_policy_enforced"}"#, "administrator"),
            (RefreshToken, 400, "invalid_scope", r#"{"error":"invalid_scope"}"#, "both scopes"),
            (RefreshToken, 400, "http_400", "{}", "which belong together"),
            (
                ServiceAccount,
                400,
                "invalid_grant",
                r#"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."}"#,
                "clock is wrong",
            ),
            (
                ServiceAccount,
                400,
                "invalid_grant",
                r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
                "Make a new key",
            ),
            (
                ServiceAccount,
                400,
                "invalid_grant",
                r#"{"error":"invalid_grant","error_description":"Invalid grant: account not found"}"#,
                "doesn't exist",
            ),
            (
                ServiceAccount,
                401,
                "unauthorized_client",
                r#"{"error":"unauthorized_client"}"#,
                "Enable the Data Manager API",
            ),
            (ServiceAccount, 400, "something_new", r#"{"error":"something_new"}"#, "GOOGLE_SERVICE_ACCOUNT_KEY"),
            (SecurityTokenService, 400, "invalid_target", r#"{"error":"invalid_target"}"#, "audience"),
            (SecurityTokenService, 400, "invalid_request", r#"{"error":"invalid_request"}"#, "create-cred-config"),
            (
                SecurityTokenService,
                400,
                "invalid_grant",
                r#"{"error":"invalid_grant","error_description":"Signature expired: 20261122T120000Z is now earlier than"}"#,
                "clock is wrong",
            ),
            (SecurityTokenService, 400, "invalid_grant", r#"{"error":"invalid_grant"}"#, "AWS account"),
            (
                SecurityTokenService,
                403,
                "unauthorized_client",
                r#"{"error":"unauthorized_client"}"#,
                "attribute condition",
            ),
            (
                SecurityTokenService,
                403,
                "PERMISSION_DENIED",
                r#"{"error":{"code":403,"status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}"#,
                "Enable sts.googleapis.com",
            ),
            (
                IamCredentials,
                401,
                "UNAUTHENTICATED",
                r#"{"error":{"status":"UNAUTHENTICATED"}}"#,
                "service_account_impersonation_url",
            ),
            (
                IamCredentials,
                403,
                "PERMISSION_DENIED",
                r#"{"error":{"status":"PERMISSION_DENIED","message":"denied"}}"#,
                "roles/iam.workloadIdentityUser",
            ),
            (
                IamCredentials,
                403,
                "PERMISSION_DENIED",
                r#"{"error":{"status":"PERMISSION_DENIED","details":[{"@type":"x"},{"reason":"SERVICE_DISABLED"}]}}"#,
                "Enable iamcredentials",
            ),
            (IamCredentials, 404, "NOT_FOUND", r#"{"error":{"status":"NOT_FOUND"}}"#, "e-mail address"),
            (IamCredentials, 400, "INVALID_ARGUMENT", r#"{"error":{"status":"INVALID_ARGUMENT"}}"#, "disabled"),
        ] {
            let Outcome::Paused(reason) = outcome(authority, status, body) else { panic!("{authority:?} {body}") };
            assert_eq!(reason.code, code);
            assert!(reason.message.contains(cause), "{body}: {}", reason.message);
        }
    }

    #[test]
    fn what_passes_is_waited_for() {
        for authority in ALL {
            for (status, body) in [
                (500, "{}"),
                (503, "<html>"),
                (429, ""),
                (408, ""),
                (400, r#"{"error":"server_error"}"#),
                (403, r#"{"error":"rate_limit_exceeded"}"#),
                // Not from Google.
                (302, ""),
                (403, "<html>"),
                (404, ""),
                (400, r#"{"error":"invalid_gr"#),
            ] {
                let outcome = outcome(authority, status, body);
                assert!(matches!(&outcome, Outcome::Unavailable(..)), "{authority:?} {status} {body}: {outcome:?}");
            }
        }
    }

    #[test]
    fn odd_json_is_no_reason_to_fall_over() {
        for body in ["[]", "null", "7", r#"{"error":7}"#, r#"{"error":{"details":"none"}}"#] {
            assert!(matches!(outcome(RefreshToken, 400, body), Outcome::Paused(reason) if reason.code == "http_400"));
        }
    }
}
