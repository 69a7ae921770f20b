//! `adtrail crm sign`.

use serde_json::json;
use shared::clock::Clock;
use shared::crm::{Source, presets};
use shared::settings::Values;

use super::delivery::{Delivery, request};
use super::{ChosenSource, curl, read};
use crate::answer::Answer;
use crate::arguments::Sign;
use crate::{Failure, app, visible};

/// Safe for the command line of any shell; Linux ends one argument at 128 KB.
const LONGEST_ARGUMENT: usize = 100_000;

pub(crate) fn sign(values: &Values, base: Option<&str>, sign: &Sign) -> Result<Answer, Failure> {
    let (app, _) = app::for_declarations(values, Clock::system())?;
    let chosen = ChosenSource::find(&app.config.intake.sources, values, &sign.source)?;
    let source = chosen.source();
    let sample = presets::sample(source.preset.as_deref().unwrap_or(&source.name));
    let (bytes, file) = match (&sign.file, sample) {
        (Some(file), _) => (read(file)?, file.to_str().filter(|name| *name != "-")),
        (None, Some(sample)) => (sample.body.as_bytes().to_vec(), None),
        (None, None) => {
            let name = &source.name;
            return Err(Failure::Message(format!(
                "{name} starts from no preset, so it has no sample: name a file, such as \
                 adtrail crm sign {name} deal.json."
            )));
        }
    };
    let body = match file {
        Some(file) => curl::Body::File(file),
        None => curl::Body::Text(pasteable(&bytes)?),
    };
    let delivery = Delivery::new(&sign.call, base, source, &app.clock);
    let Some(signed) = delivery.signed(source, &bytes) else { return Err(cannot_sign(source)) };
    // Refuses what curl would send differently from what was signed.
    request(&signed.url, &signed.headers, &bytes)?;
    let mut headers = vec![("content-type".to_owned(), source.content_type().to_owned())];
    headers.extend(signed.headers);
    let command = curl::command(&signed.url, &headers, &body);
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let document = json!({
        "method": "POST",
        "url": signed.url,
        "headers": headers,
        "file": file,
        "body": file.is_none().then(|| String::from_utf8_lossy(&bytes)),
        "command": command,
    });
    Ok(Answer::verbatim(document, command))
}

/// Why the source's webhooks can't be signed here, and the fix.
pub(super) fn cannot_sign(source: &Source) -> Failure {
    let why = match source.missing.first() {
        Some(missing) if source.schemes.is_empty() => missing.problem.clone(),
        _ => format!("{} is declared with a public key, and only the CRM has the private key", source.name),
    };
    Failure::Message(format!("The webhook can't be signed here. {why}."))
}

/// A body that can be pasted into a terminal unchanged.
fn pasteable(bytes: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST_ARGUMENT);
    let text = text.filter(|text| !text.contains(visible::is_hidden));
    text.ok_or_else(|| {
        Failure::Message(
            "The body is too long for a command line or isn't plain text: save it as a file and name the file.".into(),
        )
    })
}
