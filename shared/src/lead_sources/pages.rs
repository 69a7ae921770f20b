//! The pages that a lead brings the addresses of, and what they say of the ad.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use url::Url;

use crate::attribution::Attribution;
use crate::attribution::networks::{Kind, NETWORKS};

/// What stands where an address without a site is.
const NOWHERE: &str = "https://nowhere.invalid/";
/// How a page's file may end: `index.html?…` is no site.
const FILES: &[&str] = &["html", "htm", "php", "asp", "aspx", "jsp"];

/// Can it be the address of a page, as browsers and scripts write it?
pub(super) fn is_address(text: &str) -> bool {
    address(text).is_some()
}

/// The address, whole, without its scheme or without its site.
fn address(text: &str) -> Option<Url> {
    let has = |scheme: &str| text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    if has("http://") || has("https://") {
        // What stands behind a site that can't be one may be read all the same.
        let rest = || text.find(['?', '#']).map(|at| &text[at..]);
        return Url::parse(text).ok().or_else(|| nowhere(rest()?));
    }
    let is_other =
        text.split(['?', '#']).next().is_some_and(|it| it.contains(char::is_whitespace) || it.contains("://"));
    if is_other {
        return None;
    }
    let text = text.strip_prefix("//").unwrap_or(text);
    let at = text.find(['/', '?', '#']).unwrap_or(text.len());
    let host = text[..at].split(':').next().unwrap_or_default();
    let ending = host.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending {
        Some(ending) if !ending.is_empty() && !host.contains('@') && !FILES.contains(&ending.as_str()) => {
            Url::parse(&format!("https://{text}")).ok()
        }
        _ if at < text.len() => nowhere(&text[at..]),
        _ if text.contains('=') => nowhere(&format!("?{text}")),
        _ => None,
    }
}

fn nowhere(rest: &str) -> Option<Url> {
    Url::parse(NOWHERE).ok()?.join(rest).ok()
}

/// The first page whose site is known.
pub(super) fn whole(pages: &[String]) -> Option<Url> {
    let mut pages = pages.iter().filter_map(|page| address(page));
    pages.find(|page| !page.as_str().starts_with(NOWHERE))
}

/// Adds what the addresses say to what is said by field: of each network the first click, and the first campaign. What
/// is a field of its own stays, if it can be used: ids of two clicks are never mixed.
pub(super) fn add(fields: &mut BTreeMap<String, String>, pages: &[String], at: DateTime<Utc>) {
    let seen: Vec<_> = pages.iter().filter_map(|it| address(it)).map(|it| Attribution::from_url(&it, at)).collect();
    for network in NETWORKS {
        let is_told = network.parameters.iter().any(|it| {
            let said = fields.get(it.name).and_then(|said| it.read(said));
            said.is_some_and(|_| it.kind == Kind::Id)
        });
        let click = seen.iter().filter_map(|it| it.clicks.get(network.id)).find(|click| click.is_one());
        if let (false, Some(click)) = (is_told, click) {
            fields.extend(click.ids().into_iter().map(|(name, id)| (name.to_owned(), id)));
        }
    }
    if let Some(utm) = seen.into_iter().map(|it| it.utm).find(|utm| !utm.is_empty()) {
        let utm = [
            ("utm_source", utm.source),
            ("utm_medium", utm.medium),
            ("utm_campaign", utm.campaign),
            ("utm_term", utm.term),
            ("utm_content", utm.content),
        ];
        for (name, value) in utm {
            if let Some(value) = value {
                fields.entry(name.into()).or_insert(value);
            }
        }
    }
}
