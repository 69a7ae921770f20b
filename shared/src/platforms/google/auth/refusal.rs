//! What it means when an authority refuses a token.

use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::Value;

use super::cause;
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
pub(super) struct TokenRefusal<'a> {
    pub(super) authority: Authority,
    pub(super) status: StatusCode,
    /// How long the authority asks us to wait.
    pub(super) retry_after: Option<TimeDelta>,
    pub(super) body: &'a [u8],
}

/// An error as OAuth shapes it (RFC 6749 section 5.2), or as Google's other APIs do (`google.rpc.Status`).
pub(super) struct Said {
    /// `error`, or the status' name. Empty if there is none.
    pub(super) code: String,
    /// `error_subtype`, or the reason of the `ErrorInfo`.
    pub(super) detail: String,
    pub(super) description: String,
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

impl TokenRefusal<'_> {
    /// A permanent error pauses the platform with the likely cause; a temporary one is retried.
    pub(super) fn outcome(&self) -> Outcome {
        let (name, status) = (self.authority.name(), self.status);
        let passing = |what: &str| {
            let message = format!("{name} answered {status}{what}. Adtrail retries automatically.");
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
        let Some(said) = Said::read(self.body) else { return passing(" with an unreadable body") };
        if passes(&said.code) || passes(&said.description) {
            return passing("");
        }
        let fix = cause::of(self.authority, status, &said);
        let code = if said.code.is_empty() { format!("http_{}", status.as_u16()) } else { said.code };
        let quoted =
            if said.description.is_empty() { String::new() } else { format!(" Google said: {}", said.description) };
        Outcome::Paused(Reason::new(code, format!("{fix}.{quoted}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Authority::{IamCredentials, RefreshToken, SecurityTokenService, ServiceAccount};

    const ALL: [Authority; 4] = [ServiceAccount, RefreshToken, SecurityTokenService, IamCredentials];

    fn outcome(authority: Authority, status: u16, body: &str) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        TokenRefusal { authority, status, retry_after: None, body: body.as_bytes() }.outcome()
    }

    fn paused(authority: Authority, status: u16, body: &str) -> (String, String) {
        match outcome(authority, status, body) {
            Outcome::Paused(reason) => (reason.code, reason.message),
            other => panic!("{authority:?} {body}: {other:?}"),
        }
    }

    #[test]
    fn a_refusal_of_the_token_endpoint_pauses_with_its_likely_cause() {
        for (authority, code, description, cause) in [
            (RefreshToken, "invalid_grant", "Token has been expired or revoked.", "7 days"),
            (RefreshToken, "invalid_client", "The OAuth client was not found.", "GOOGLE_CLIENT_SECRET"),
            (RefreshToken, "unauthorized_client", "Unauthorized", "GOOGLE_CLIENT_ID"),
            (RefreshToken, "deleted_client", "", "GOOGLE_CLIENT_ID"),
            (RefreshToken, "admin_policy_enforced", "", "administrator"),
            (RefreshToken, "invalid_scope", "", "both scopes"),
            (RefreshToken, "something_new", "", "which belong together"),
            (ServiceAccount, "invalid_grant", "Invalid JWT: Token must be a short-lived token", "clock is wrong"),
            (ServiceAccount, "invalid_grant", "Invalid JWT Signature.", "Make a new key"),
            (ServiceAccount, "invalid_grant", "Invalid grant: account not found", "no longer exists"),
            (ServiceAccount, "invalid_grant", "", "deleted or disabled"),
            (ServiceAccount, "unauthorized_client", "", "Enable the Data Manager API"),
            (ServiceAccount, "something_new", "", "GOOGLE_SERVICE_ACCOUNT_KEY"),
            (SecurityTokenService, "invalid_target", "", "audience"),
            (SecurityTokenService, "invalid_request", "", "create-cred-config"),
            (SecurityTokenService, "invalid_grant", "Signature expired: 20261122T120000Z", "clock is wrong"),
            (SecurityTokenService, "invalid_grant", "", "AWS account"),
            (SecurityTokenService, "unauthorized_client", "", "attribute condition"),
        ] {
            let body = serde_json::json!({"error": code, "error_description": description});
            let (seen, message) = paused(authority, 400, &body.to_string());
            assert_eq!(seen, code);
            assert!(message.contains(cause) && message.contains(description), "{body}: {message}");
        }
        let rapt = r#"{"error": "invalid_grant", "error_subtype": "invalid_rapt"}"#;
        assert!(paused(RefreshToken, 400, rapt).1.contains("session control"));
    }

    #[test]
    fn a_refusal_of_an_api_pauses_with_its_likely_cause() {
        for (authority, status, code, reason, cause) in [
            (SecurityTokenService, 403, "PERMISSION_DENIED", "SERVICE_DISABLED", "Enable sts.googleapis.com"),
            (IamCredentials, 400, "INVALID_ARGUMENT", "", "disabled"),
            (IamCredentials, 401, "UNAUTHENTICATED", "", "service_account_impersonation_url"),
            (IamCredentials, 403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "roles/iam.workloadIdentityUser"),
            (IamCredentials, 403, "PERMISSION_DENIED", "SERVICE_DISABLED", "Enable iamcredentials"),
            (IamCredentials, 404, "NOT_FOUND", "", "e-mail address"),
        ] {
            let details = serde_json::json!([{"@type": "RequestInfo"}, {"reason": reason}]);
            let body = serde_json::json!({"error": {"status": code, "message": "No.", "details": details}});
            let (seen, message) = paused(authority, status, &body.to_string());
            assert_eq!(seen, code);
            assert!(message.contains(cause) && message.ends_with("Google said: No."), "{body}: {message}");
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
