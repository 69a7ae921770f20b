//! One secret in AWS Secrets Manager. `lambda/sandbox.rs` says when it is read again.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::Values;
use crate::aws;

/// Reads the JSON object of this name or ARN. An error says the fix.
pub(super) async fn fetch(id: &str) -> Result<Values, String> {
    let aws = aws::sdk_config().await;
    let answer =
        aws_sdk_secretsmanager::Client::new(&aws).get_secret_value().secret_id(id).send().await.map_err(|error| {
            let said = aws::cause(&error);
            format!(
                " The secret {id} can't be read ({said}): check its name and region, and that these AWS credentials or, \
                 on Lambda, the function's role may call secretsmanager:GetSecretValue on it."
            )
        })?;
    let object: BTreeMap<String, serde_json::Value> = serde_json::from_str(answer.secret_string().unwrap_or_default())
        .map_err(|_| format!(" The secret {id} must be a JSON object of names and texts."))?;
    Ok(object
        .into_iter()
        .map(|(name, value)| {
            // A service account's key may be pasted as an object of its own.
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name, SecretString::from(text))
        })
        .collect())
}
