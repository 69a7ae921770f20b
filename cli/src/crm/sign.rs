//! `adtrail crm sign`.

use serde_json::json;
use shared::clock::Clock;
use shared::crm::authentication::{Sample, Signed};
use shared::crm::{Source, presets};
use shared::lead_sources;
use shared::settings::Values;
use uuid::Uuid;

use super::delivery::{Delivery, request};
use super::{ChosenSource, curl, leads, read};
use crate::answer::Answer;
use crate::arguments::Sign;
use crate::{Failure, app, visible};

/// Safe for the command line of any shell; Linux ends one argument at 128 KB.
const LONGEST_ARGUMENT: usize = 100_000;

pub(crate) fn sign(values: &Values, base: Option<&str>, sign: &Sign) -> Result<Answer, Failure> {
    let (app, _) = app::for_declarations(values, Clock::system())?;
    if let Some(chosen) = leads::Chosen::find(&app, values, &sign.source)? {
        return lead(chosen.source(), base, sign, &app.clock);
    }
    let chosen = ChosenSource::find(&app.config.intake.sources, values, &sign.source)?;
    let source = chosen.source();
    let sample = presets::sample(source.preset.as_deref().unwrap_or(&source.name));
    let (bytes, file) = body(sign, &source.name, sample.map(|sample| sample.body))?;
    let delivery = Delivery::new(&sign.call, base, source, &app.clock);
    let Some(signed) = delivery.signed(source, &bytes) else { return Err(cannot_sign(source)) };
    answer(signed, source.content_type(), &bytes, file)
}

/// What a source of leads sends, with its proof: a header, the URL, or the key in the body.
fn lead(source: &lead_sources::Source, base: Option<&str>, sign: &Sign, clock: &Clock) -> Result<Answer, Failure> {
    let refused = |why: &str| Failure::Message(format!("The lead can't be signed here. {why}."));
    if let Some(missing) = &source.missing {
        return Err(refused(missing));
    }
    let (bytes, file) = body(sign, &source.name, source.sample())?;
    let url = sign.call.url.clone().unwrap_or_else(|| leads::url(base, source));
    if source.has_key_in_body() {
        let no_place = "Its key belongs into the body, which must be a JSON object";
        let bytes = source.with_key(&bytes).ok_or_else(|| refused(no_place))?.into_bytes();
        return answer(Signed { url, headers: Vec::new() }, lead_sources::content_type_of(&bytes), &bytes, None);
    }
    let id = Uuid::new_v4().to_string();
    let at = sign.call.at.unwrap_or_else(|| clock.now());
    let sample = Sample { method: "POST", url: &url, body: &bytes, id: &id, at };
    let no_key = format!("{} is declared with a public key, and only the sender has the private key", source.name);
    let signed = source.sign(&sample).ok_or_else(|| refused(&no_key))?;
    answer(signed, lead_sources::content_type_of(&bytes), &bytes, file)
}

/// The body of the file, and its name for curl; without a file, the sample.
fn body<'s>(sign: &'s Sign, name: &str, sample: Option<&str>) -> Result<(Vec<u8>, Option<&'s str>), Failure> {
    match (&sign.file, sample) {
        (Some(file), _) => Ok((read(file)?, file.to_str().filter(|name| *name != "-"))),
        (None, Some(sample)) => Ok((sample.as_bytes().to_vec(), None)),
        (None, None) => Err(Failure::Message(format!(
            "{name} starts from no preset, so it has no sample: name a file, such as adtrail crm sign {name} deal.json."
        ))),
    }
}

/// The command that sends it.
fn answer(signed: Signed, content_type: &str, bytes: &[u8], file: Option<&str>) -> Result<Answer, Failure> {
    let body = match file {
        Some(file) => curl::Body::File(file),
        None => curl::Body::Text(pasteable(bytes)?),
    };
    // Refuses what curl would send differently from what was signed.
    request(&signed.url, &signed.headers, bytes)?;
    let mut headers = vec![("content-type".to_owned(), content_type.to_owned())];
    headers.extend(signed.headers);
    let command = curl::command(&signed.url, &headers, &body);
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let document = json!({
        "method": "POST",
        "url": signed.url,
        "headers": headers,
        "file": file,
        "body": file.is_none().then(|| String::from_utf8_lossy(bytes)),
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
