//! The site of a page: a company may have several, and an account of a platform for each.

use url::Url;

/// The host of a page's URL, in lower case and with `www.`, without the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site(String);

impl Site {
    /// The longest, in characters: that of a domain name.
    pub const LIMIT: i32 = 253;
    /// For SQL: the site may have written the column itself. With the characters of an IPv6 address.
    pub const PATTERN: &str = "^[][a-z0-9._:-]+$";

    /// None if the URL has no host, or one that can't be a site's.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._:-[]".contains(&c);
        super::is_one_of_up_to(host, Self::LIMIT, known).then(|| Self(host.to_owned()))
    }

    /// Of a page's URL as a text.
    #[must_use]
    pub fn of_page(url: &str) -> Option<Self> {
        Self::of(&Url::parse(url).ok()?)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Option<String> {
        Site::of(&Url::parse(url).unwrap()).map(|site| site.as_str().to_owned())
    }

    #[test]
    fn a_site_is_the_host_of_its_pages() {
        for (url, host) in [
            ("https://WWW.Example.com/lp?gclid=x", "www.example.com"),
            ("http://example.com:8080", "example.com"),
            ("https://shop.bücher.example/", "shop.xn--bcher-kva.example"),
            ("http://localhost:3000/", "localhost"),
            ("http://192.0.2.1/", "192.0.2.1"),
            ("http://[2001:DB8::1]/", "[2001:db8::1]"),
        ] {
            assert_eq!(site(url).as_deref(), Some(host), "{url}");
        }
    }

    #[test]
    fn what_is_too_long_or_has_no_host_is_no_site() {
        let long = |length: usize| format!("https://{}.example/", ["a"; 127].join(".").split_at(length - 8).0);
        assert_eq!(site(&long(253)).unwrap().len(), 253);
        assert_eq!(site("https://a{b}/".replace(['{', '}'], "").as_str()).as_deref(), Some("ab"));
        for url in ["data:text/html,x", "https://a*b/", &format!("https://{}/", "a".repeat(254))] {
            assert_eq!(site(url), None, "{url}");
        }
    }
}
