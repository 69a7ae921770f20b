//! Does the API take what each CRM signs, and nothing else? Each webhook is a dry run, of which nothing is stored.

use shared::clock::Clock;
use shared::crm::authentication::{Sample, Signed};
use shared::crm::{Source, Sources};
use shared::lead_sources;
use uuid::Uuid;

use super::call::send;
use super::report::Report;

/// A source, as far as its requests are tried.
struct Sender<'a> {
    name: &'a str,
    /// What it sends.
    sends: &'static str,
    content_type: &'static str,
    /// The function that takes them.
    function: &'static str,
}

/// Sends each source's webhook twice: as the CRM signs it, and with a character of that changed.
pub(super) async fn check(http: &reqwest::Client, base: &str, sources: &Sources, report: &mut Report) {
    for source in sources.iter() {
        let (name, content_type) = (&source.name, source.content_type());
        let sender = Sender { name, sends: "webhooks", content_type, function: "CrmConversion" };
        let url = format!("{base}{}", crm_conversion::ENDPOINT.path.replace("{source}", name));
        let sign = |sample: &Sample<'_>| source.sign(sample);
        let reported = format!("webhook.{name}");
        check_sender(http, &sender, &reported, &url, sign, || unsigned(source), report).await;
    }
}

/// The same for sources of leads.
pub(super) async fn check_leads(
    http: &reqwest::Client,
    base: &str,
    sources: &lead_sources::Sources,
    report: &mut Report,
) {
    for source in sources.iter() {
        let name = &source.name;
        let sender = Sender { name, sends: "leads", content_type: "application/json", function: "CreateLead" };
        let url = format!("{base}/api/leads/{name}");
        let sign = |sample: &Sample<'_>| source.sign(sample);
        let unsigned = || "only the sender can prove itself, by what it writes into the body".into();
        check_sender(http, &sender, &format!("leads.{name}"), &url, sign, unsigned, report).await;
    }
}

async fn check_sender(
    http: &reqwest::Client,
    sender: &Sender<'_>,
    name: &str,
    url: &str,
    sign: impl Fn(&Sample<'_>) -> Option<Signed>,
    unsigned: impl Fn() -> String,
    report: &mut Report,
) {
    let signed = || {
        let id = format!("adtrail-doctor-{}", Uuid::new_v4().simple());
        sign(&Sample { method: "POST", url, body: b"", id: &id, at: Clock::system().now() })
    };
    let (Some(right), Some(wrong)) = (signed(), signed()) else {
        return report.not_checked(name, unsigned());
    };
    check_signed(http, sender, right, name, report).await;
    if !report.has_found(name) {
        check_forged(http, sender, forged(wrong), name, report).await;
    }
    report.right_unless_found(name, "its signature is taken, and a wrong one refused");
}

fn unsigned(source: &Source) -> String {
    match source.missing.first() {
        Some(missing) if source.schemes.is_empty() => missing.problem.clone(),
        _ => "only the CRM has the private key".into(),
    }
}

async fn post(http: &reqwest::Client, sender: &Sender<'_>, signed: Signed) -> Result<u16, (String, String)> {
    let request = http.post(signed.url).header("content-type", sender.content_type);
    let request = request.header(crm_conversion::DRY_RUN, "true");
    let headers = signed.headers.into_iter();
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    send(request).await.map(|answer| answer.status)
}

async fn check_signed(http: &reqwest::Client, sender: &Sender<'_>, signed: Signed, name: &str, report: &mut Report) {
    let (problem, fix) = match post(http, sender, signed).await {
        Ok(204) => return,
        Ok(401) => (
            format!("The API refuses {} that are signed with the secret of {} here.", sender.sends, sender.name),
            "If the secret was changed just now, wait five minutes, in which the functions read it anew; if a proxy \
             changes the URL, declare the url of the scheme.",
        ),
        Ok(404) => (
            format!("The API has no source {}.", sender.name),
            "Write CRM_SOURCES into the secret as it is here; the functions go by it within five minutes.",
        ),
        Ok(429) => {
            ("The API answers that there are too many requests.".into(), "Run adtrail doctor again in a minute.")
        }
        Ok(status) => (
            format!("The API answers {} of {} with status {status}.", sender.sends, sender.name),
            &*format!("The log of {} says why.", sender.function),
        ),
        Err((problem, fix)) => return report.error(name, problem, fix),
    };
    report.error(name, problem, fix);
}

async fn check_forged(http: &reqwest::Client, sender: &Sender<'_>, signed: Signed, name: &str, report: &mut Report) {
    match post(http, sender, signed).await {
        Ok(401 | 403) => {}
        Ok(429) => report.not_checked(name, "the API answers that there are too many requests"),
        Ok(status) => {
            let problem =
                format!("A webhook of {} with a wrong signature isn't refused (status {status}).", sender.name);
            report.error(
                name,
                problem,
                "Nothing in front of the functions may answer for them: look at proxies and CDNs.",
            );
        }
        Err((problem, fix)) => report.error(name, problem, fix),
    }
}

/// The same with a character changed in the middle of each proof.
fn forged(signed: Signed) -> Signed {
    let is_in_url = signed.headers.is_empty();
    let headers = signed.headers.into_iter().map(|(name, value)| (name, changed(&value))).collect();
    let url = match signed.url.rsplit_once('=') {
        Some((start, secret)) if is_in_url => format!("{start}={}", changed(secret)),
        _ => signed.url,
    };
    Signed { headers, url }
}

/// Another text of the same shape. The middle of its longest word is never padding or a prefix.
fn changed(text: &str) -> String {
    let word = text.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|word| word.len()).unwrap_or_default();
    let at = text.find(word).unwrap_or_default() + word.len() / 2;
    let other = if text[at..].starts_with('2') { '3' } else { '2' };
    text.char_indices().map(|(index, c)| if index == at { other } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_proof_differs_in_one_character() {
        for proof in
            ["sha256=00ff22", "Basic dXNlcjpwYXNzd29yZA==", "Bearer 222", "t=17951760,v1=abcdef0123", "x", "", "--"]
        {
            let forged = changed(proof);
            assert_eq!(forged.len(), proof.len());
            let differ = proof.chars().zip(forged.chars()).filter(|(a, b)| a != b).count();
            assert_eq!(differ, usize::from(!proof.is_empty()), "{proof} {forged}");
        }
    }
}
