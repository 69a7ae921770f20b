//! What runs after a response: an internal extension. Lambda tells it of each invocation, and freezes the sandbox only
//! when both the runtime and the extension have asked for the next one. The caller has the response before that.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lambda_http::http::{Request, StatusCode};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, PooledClient};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::app::App;

/// Its name, of which each function may have one.
const NAME: &str = "adtrail";
/// Header with the name, and the one with the id that stands for it afterwards (Lambda Extensions API).
const NAME_HEADER: &str = "Lambda-Extension-Name";
const ID_HEADER: &str = "Lambda-Extension-Identifier";
/// What runs after a response ends by itself. If it doesn't, the sandbox is given back all the same.
const LONGEST: Duration = Duration::from_secs(8);
/// Lambda doesn't go on without the extension, so a failed question is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// A registration waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Extension {
    api: PooledClient,
    id: String,
}

impl Extension {
    /// Registers for every invocation. This has to happen before the runtime asks for the first one.
    pub(super) async fn register() -> Result<Self, BoxError> {
        let api = PooledClient::builder().build();
        let events = json!({"events": ["INVOKE"]}).to_string();
        let register = Request::post("/2020-01-01/extension/register").header(NAME_HEADER, NAME);
        let registered = tokio::time::timeout(PATIENCE, api.call(register.body(Body::from(events))?)).await??;
        let id = registered.headers().get(ID_HEADER).filter(|_| registered.status() == StatusCode::OK);
        let id = id.ok_or_else(|| format!("Lambda registers no extension ({})", registered.status()))?;
        Ok(Self { id: id.to_str()?.to_owned(), api })
    }

    /// Runs `after` when an invocation has been answered, then waits for the next one.
    pub(super) async fn run<C, A, G>(self, mut answered: UnboundedReceiver<&'static App<C>>, after: A)
    where
        A: Fn(&'static App<C>) -> G,
        G: Future<Output = ()>,
    {
        loop {
            self.next().await;
            let Some(app) = answered.recv().await else { return };
            let done = tokio::time::timeout(LONGEST, AssertUnwindSafe(async { after(app).await }).catch_unwind()).await;
            if !matches!(done, Ok(Ok(()))) {
                tracing::error!("what runs after responses didn't end well");
            }
        }
    }

    /// Waits for the next invocation.
    async fn next(&self) {
        while let Err(error) = self.ask().await {
            tracing::error!(error, "the extension can't ask for the next invocation");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self) -> Result<(), BoxError> {
        let next = Request::get("/2020-01-01/extension/event/next").header(ID_HEADER, &self.id);
        let answer = self.api.call(next.body(Body::empty())?).await?;
        if answer.status() == StatusCode::OK { Ok(()) } else { Err("Lambda refuses the extension".into()) }
    }
}
