//! The addresses of pages that a form brings, and what they say of the ad: a script may send the page's address rather
//! than the click in it.

use chrono::{DateTime, Utc};

use crate::attribution::networks::NETWORKS;
use crate::attribution::{Attribution, Clicks, Page, Site, Utm, linker};
use crate::http::body::Fields;

/// What a field is called that has the address of a page: one of these words, or it ends with one.
const PAGE: &[&str] = &["page", "page_url", "url", "uri", "href", "landing", "referrer", "referer", "location"];
const LANDING: &[&str] = &["landing", "landing_page", "entry", "first"];
const REFERRER: &[&str] = &["referrer", "referer", "ref", "previous"];
/// Pages that aren't the website's own, and files.
const OTHERS: &[&str] =
    &["website", "web_site", "homepage", "company", "linkedin", "profile", "photo", "image", "file"];
/// In which Google's tag hands a click on.
const LINKER: &str = "_gl";

/// Which of several addresses comes first: the form's own, then that of the landing page, and the one before last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    is_referrer: bool,
    is_landing: bool,
    is_worded: bool,
}

impl Rank {
    /// Of a field with these names, in small letters, whose words are apart by `_`; none if it has no page's address.
    pub(crate) fn of(names: &[impl AsRef<str>]) -> Option<Self> {
        let has = |words: &[&str]| names.iter().any(|name| words.iter().any(|word| has_word(name.as_ref(), word)));
        let is_exact = |name: &str| PAGE.contains(&name.strip_prefix("your_").unwrap_or(name));
        (has(PAGE) && !has(OTHERS)).then(|| Self {
            is_referrer: has(REFERRER),
            is_landing: has(LANDING),
            is_worded: !names.iter().any(|name| is_exact(name.as_ref())),
        })
    }

    /// Is it the page before, which may be of another website?
    pub(crate) fn is_referrer(self) -> bool {
        self.is_referrer
    }
}

/// Is the word in the name, or at its end where the words aren't apart, as in `pageurl`?
fn has_word(name: &str, word: &str) -> bool {
    let bare = |text: &str| text.replace('_', "");
    format!("_{name}_").contains(&format!("_{word}_"))
        || (word.len() > 3 && (bare(name).ends_with(&bare(word)) || bare(name).starts_with(&bare(word))))
        || matches!(word, "url" | "uri") && name.ends_with(word)
}

/// What the pages of a form say.
pub(super) struct Pages {
    seen: Vec<Attribution>,
    pub(super) site: Option<Site>,
}

impl Pages {
    /// Those of its fields.
    pub(super) fn of(fields: &Fields<'_>, at: DateTime<Utc>) -> Self {
        let mut ranked: Vec<_> = fields.names().filter_map(|name| Some((Rank::of(&[name])?, name))).collect();
        ranked.sort_unstable();
        let read = |(rank, name): (Rank, &str)| {
            let texts = fields.texts(name);
            texts.into_iter().filter_map(Page::read).map(|page| (rank, page)).collect::<Vec<_>>()
        };
        let pages: Vec<_> = ranked.into_iter().flat_map(read).collect();
        let site = pages.iter().filter(|(rank, _)| !rank.is_referrer()).find_map(|(_, page)| page.site());
        // A field for an id may have the address that has the id of another kind.
        let of_ids = NETWORKS.iter().flat_map(|network| network.parameters).flat_map(|it| fields.texts(it.name));
        let of_ids = of_ids.filter(|text| text.contains('=')).filter_map(Page::read);
        let all = pages.into_iter().map(|(_, page)| page).chain(of_ids);
        let mut seen: Vec<_> = all.map(|page| Attribution::of_address(page.as_str(), at)).collect();
        let handed_on = fields.texts(LINKER).into_iter().map(|text| format!("?{LINKER}={text}"));
        seen.extend(handed_on.map(|address| Attribution::of_address(&address, at)));
        let cookies = linker::COOKIES.iter().flat_map(|(name, _)| fields.texts(name).into_iter().map(|it| (*name, it)));
        let clicks = Clicks::default().or_google(|| linker::newest(cookies), at);
        seen.push(Attribution { clicks, utm: Utm::default() });
        Self { seen, site }
    }

    /// These clicks, and of the networks that have none among them the first that a page has. Ids of two clicks are
    /// never mixed.
    pub(super) fn beside(&self, clicks: Clicks) -> Clicks {
        self.seen.iter().fold(clicks, |clicks, page| clicks.or(&page.clicks))
    }

    /// These parameters, and those that are missing of the first page that has any.
    pub(super) fn campaign(&self, own: Utm) -> Utm {
        let of_page = self.seen.iter().map(|page| &page.utm).find(|utm| !utm.is_empty()).cloned().unwrap_or_default();
        Utm {
            source: own.source.or(of_page.source),
            medium: own.medium.or(of_page.medium),
            campaign: own.campaign.or(of_page.campaign),
            term: own.term.or(of_page.term),
            content: own.content.or(of_page.content),
        }
    }
}
