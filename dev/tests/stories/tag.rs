//! The real binary serves the tag as API Gateway wants it, on its own: no settings, no secret, no database.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dev::lambda_runtime::{LambdaRuntime, http_event};
use tokio::time::timeout;

use crate::stage::binary;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_tag_comes_through_api_gateway_as_it_lies_in_the_checkout() -> anyhow::Result<()> {
    let runtime = LambdaRuntime::start().await?;
    let _process = runtime.command(&binary("serve-tag")).spawn()?;
    timeout(PATIENCE, runtime.ready()).await?;
    let files = [
        ("br", &include_bytes!("../../../tracker/dist/t.js.br")[..]),
        ("gzip", &include_bytes!("../../../tracker/dist/t.js.gz")[..]),
        ("identity", &include_bytes!("../../../tracker/dist/t.js")[..]),
    ];
    for (encoding, file) in files {
        let ask = async |method: &str, more: &[(&str, &str)]| {
            let headers = [&[("accept-encoding", encoding)], more].concat();
            runtime.invoke(http_event(method, "/api/t.js", &headers, ""));
            timeout(PATIENCE, runtime.result()).await??.map_err(|error| anyhow::anyhow!("{error}"))
        };
        let answer = ask("GET", &[]).await?;
        let body = answer["body"].as_str().unwrap_or_default();
        let is_text = encoding == "identity";
        assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&200.into(), &(!is_text).into()), "{answer}");
        let body = if is_text { body.into() } else { STANDARD.decode(body)? };
        assert_eq!(body, file, "{encoding}");
        let name = answer["headers"]["content-encoding"].as_str();
        assert_eq!(name, Some(encoding).filter(|_| !is_text), "{answer}");

        let etag = answer["headers"]["etag"].as_str().unwrap_or_default();
        let again = ask("GET", &[("if-none-match", etag)]).await?;
        assert_eq!((&again["statusCode"], again["body"].as_str().unwrap_or_default()), (&304.into(), ""), "{again}");
        let head = ask("HEAD", &[]).await?;
        assert_eq!((&head["statusCode"], head["body"].as_str().unwrap_or_default()), (&200.into(), ""), "{head}");
        assert_eq!(head["headers"], answer["headers"]);
    }
    Ok(())
}
