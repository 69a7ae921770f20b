//! The Google Ads API, as far as conversions are concerned: `uploadClickConversions` and
//! `uploadConversionAdjustments`, over REST.
//!
//! Where Google's documents do not say which error is returned, the sandbox takes the one whose name fits.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use self::failure::{AdsError, ErrorCode};
use self::request::{UploadClickConversionsRequest, UploadConversionAdjustmentsRequest};
use self::row::Row;
use crate::ads_account::AdsAccount;
use crate::answer::Refusal;
use crate::endpoint::{self, Endpoint, check_content_type};
use crate::{GoogleSandbox, access, schema};

mod adjustments;
mod clicks;
pub(crate) mod failure;
mod request;
mod row;

/// The service that refuses, as `ErrorInfo.domain` names it.
pub(crate) const HOST: &str = "googleads.googleapis.com";
/// The versions that are served, alike.
const VERSIONS: [&str; 4] = ["v23", "v24", "v25", "v26"];
const NEWEST: u8 = 26;
const NO_SUCH_PAGE: &str = "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title><p>The sandbox has no such page.";
const MOST_ROWS: usize = 2000;
/// Google's own job ids begin where a client's end.
const FIRST_JOB_ID: u64 = 1 << 31;

/// What sets the two services apart when they refuse.
struct Service {
    /// The field of the rows.
    rows: &'static str,
    /// The service's own error enum.
    category: &'static str,
    /// Its error for more rows than a request may have.
    too_many: &'static str,
}

/// The results of the rows of a request.
#[derive(Default)]
struct Upload {
    errors: Vec<AdsError>,
    /// One per row, empty for a failed one.
    results: Vec<Value>,
    failed: usize,
}

impl Upload {
    fn push(&mut self, row: Row, result: impl FnOnce() -> Value) {
        let is_taken = row.is_flawless();
        self.results.push(if is_taken { result() } else { json!({}) });
        self.failed += usize::from(!is_taken);
        self.errors.extend(row.errors());
    }
}

/// One call, and what its path and headers say.
struct Call<'a> {
    sandbox: &'a GoogleSandbox,
    version: &'a str,
    customer_id: &'a str,
    headers: &'a HeaderMap,
}

/// What the two requests have in common.
struct Frame<'a> {
    /// The customer that the body names, although the path does.
    customer_id: &'a str,
    rows: usize,
    partial_failure: bool,
    job_id: Option<i32>,
}

/// `1234567890:uploadClickConversions`: a customer, and what is called.
fn split(call: &str) -> Option<(&str, Endpoint)> {
    let (customer_id, method) = call.split_once(':')?;
    let endpoint = match method {
        "uploadClickConversions" => Endpoint::ClickConversions,
        "uploadConversionAdjustments" => Endpoint::Adjustments,
        _ => return None,
    };
    Some((customer_id, endpoint))
}

/// The version in a path such as `/v26/customers/1234567890:uploadClickConversions`.
pub(crate) fn version_in(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// Routes a call to the endpoint that its path names.
pub(crate) async fn attend(
    State(sandbox): State<GoogleSandbox>,
    Path((version, call)): Path<(String, String)>,
    request: Request,
    next: Next,
) -> Response {
    // Google's front end knows the versions that there were and are.
    let number = version.strip_prefix('v').and_then(|number| number.parse().ok());
    if number.is_none_or(|number: u8| number == 0 || number > NEWEST) {
        return (StatusCode::NOT_FOUND, Html(NO_SUCH_PAGE)).into_response();
    }
    match split(&call) {
        Some((_, endpoint)) => endpoint::attend(State((sandbox, endpoint)), request, next).await,
        None => next.run(request).await,
    }
}

/// Answers `POST /{version}/customers/{customerId}:uploadClickConversions` and `:uploadConversionAdjustments`. What
/// was accepted is in the ledger before the answer is sent.
pub(crate) async fn upload(
    State(sandbox): State<GoogleSandbox>,
    Path((version, call)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (customer_id, endpoint) = split(&call).ok_or_else(|| Refusal::usual(StatusCode::NOT_FOUND, None).of(HOST))?;
    let call = Call { sandbox: &sandbox, version: &version, customer_id, headers: &headers };
    call.enter()?;
    let answer = match endpoint {
        Endpoint::ClickConversions => call.upload_clicks(&body)?,
        _ => call.upload_adjustments(&body)?,
    };
    Ok(Json(answer))
}

impl Call<'_> {
    /// Lets in who may call this version at all.
    fn enter(&self) -> Result<(), Refusal> {
        let now = self.sandbox.now();
        let allowed = self.sandbox.memory().tokens.authorize_for(self.headers, now, access::ADWORDS);
        allowed.map_err(|refusal| refusal.of(HOST))?;
        if !VERSIONS.contains(&self.version) {
            let message = format!("The sandbox serves {} only.", VERSIONS.join(", "));
            return Err(self.refusal(StatusCode::BAD_REQUEST, "requestError", "UNSUPPORTED_VERSION", &message));
        }
        check_content_type(self.headers)
    }

    fn upload_clicks(&self, body: &[u8]) -> Result<Value, Refusal> {
        let request: UploadClickConversionsRequest = schema::parse_batch(&schema::CLICK_CONVERSIONS, body)?;
        let frame = Frame {
            customer_id: &request.customer_id,
            rows: request.conversions.len(),
            partial_failure: request.partial_failure,
            job_id: request.job_id,
        };
        let account = self.check_access(&frame)?;
        if !account.allow_listed_for_click_uploads {
            let message = "This account uploads click conversions through the Data Manager API.";
            let name = "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE";
            return Err(self.refusal(StatusCode::FORBIDDEN, "notAllowlistedError", name, message));
        }
        self.check_frame(&frame, &clicks::SERVICE)?;
        let upload = {
            let memory = &mut *self.sandbox.memory();
            let (kept, now) = (memory.kept(body), self.sandbox.now());
            clicks::upload(&request, &account, &mut memory.ledger, &memory.poisons, kept.as_ref(), now)
        };
        Ok(self.answer(&upload, request.validate_only, request.job_id))
    }

    fn upload_adjustments(&self, body: &[u8]) -> Result<Value, Refusal> {
        let request: UploadConversionAdjustmentsRequest = schema::parse_batch(&schema::ADJUSTMENTS, body)?;
        let frame = Frame {
            customer_id: &request.customer_id,
            rows: request.conversion_adjustments.len(),
            partial_failure: request.partial_failure,
            job_id: request.job_id,
        };
        let account = self.check_access(&frame)?;
        self.check_frame(&frame, &adjustments::SERVICE)?;
        let upload = {
            let memory = &mut *self.sandbox.memory();
            let (kept, now) = (memory.kept(body), self.sandbox.now());
            adjustments::upload(&request, &account, &mut memory.ledger, &memory.poisons, kept.as_ref(), now)
        };
        Ok(self.answer(&upload, request.validate_only, request.job_id))
    }

    /// The customer's account, if the caller, who holds the credentials, may write to it. Without a `login-customer-id`
    /// the credentials have to reach it directly.
    fn check_access(&self, frame: &Frame) -> Result<AdsAccount, Refusal> {
        if !frame.customer_id.is_empty() {
            return Err(Refusal::malformed("customer_id", "The path names the customer already."));
        }
        let login = self.headers.get("login-customer-id").map(|value| value.to_str().unwrap_or_default());
        if !is_customer_id(self.customer_id) {
            let message = "A customer id has ten digits and no hyphens.";
            return Err(self.refusal(StatusCode::BAD_REQUEST, "requestError", "INVALID_CUSTOMER_ID", message));
        }
        if login.is_some_and(|login| !is_customer_id(login)) {
            let message = "A login-customer-id has ten digits and no hyphens.";
            return Err(self.refusal(StatusCode::BAD_REQUEST, "headerError", "INVALID_LOGIN_CUSTOMER_ID", message));
        }
        let account = self.sandbox.memory().accounts.open_to(login, self.customer_id).cloned();
        account.ok_or_else(|| {
            let message = "The caller has no access to this customer this way: check login-customer-id.";
            self.refusal(StatusCode::FORBIDDEN, "authorizationError", "USER_PERMISSION_DENIED", message)
        })
    }

    fn check_frame(&self, frame: &Frame, service: &Service) -> Result<(), Refusal> {
        let refuse = |category, name, message, place: &str| {
            let error = AdsError::new(ErrorCode::new(category, name), message).at(place.to_owned());
            Err(failure::refusal(self.version, StatusCode::BAD_REQUEST, &error))
        };
        if !frame.partial_failure {
            let message = "partialFailure has to be true.";
            return refuse("partialFailureError", "PARTIAL_FAILURE_MODE_REQUIRED", message, "partial_failure");
        }
        if frame.job_id.is_some_and(|id| id < 1) {
            return refuse(service.category, "INVALID_JOB_ID", "A job id is 1 to 2147483647.", "job_id");
        }
        if frame.rows == 0 {
            return refuse("fieldError", "REQUIRED_NONEMPTY_LIST", "At least one row is required.", service.rows);
        }
        if frame.rows > MOST_ROWS {
            return refuse(service.category, service.too_many, "A request takes at most 2000 rows.", service.rows);
        }
        Ok(())
    }

    fn answer(&self, upload: &Upload, validate_only: bool, job_id: Option<i32>) -> Value {
        let job_id = job_id
            .map_or_else(|| FIRST_JOB_ID + u64::from(Uuid::new_v4().as_fields().0), |id| u64::from(id.unsigned_abs()));
        let (rows, failed) = (upload.results.len(), upload.failed);
        let mut answer = json!({ "jobId": job_id.to_string() });
        if let Some(error) = failure::partial(self.version, &upload.errors) {
            answer["partialFailureError"] = error;
        }
        if !validate_only {
            answer["results"] = json!(upload.results);
            self.sandbox.announce();
            tracing::info!(rows, failed, "the sandbox Google Ads API took an upload");
        }
        answer
    }

    fn refusal(&self, status: StatusCode, category: &str, name: &str, message: &str) -> Refusal {
        failure::refusal(self.version, status, &AdsError::new(ErrorCode::new(category, name), message))
    }
}

fn is_customer_id(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}
