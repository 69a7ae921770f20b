//! WebKit's rule for cookies that an answer to a page's call sets (`NetworkTaskCocoa.mm`): those of another site are
//! dropped, and those of a host that isn't run by the page's own are kept for seven days.

use std::net::IpAddr;

use crate::doctor::names::{Lookup, Names};

/// How long such a cookie lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// As long as it says; with the reason.
    Full(String),
    /// With the reason.
    SevenDays(String),
    Dropped,
}

/// Of a cookie of `api` on a page of `site`.
///
/// # Errors
/// Which name can't be looked up.
pub(super) async fn judge(site: &str, api: &str, look_up: &Lookup<'_>) -> Result<Durability, String> {
    if site == api {
        return Ok(Durability::Full("the API is a path of the site's host".into()));
    }
    let Some(party) = registrable(site).filter(|party| registrable(api).as_ref() == Some(party)) else {
        return Ok(Durability::Dropped);
    };
    let found = async |host: &str| look_up(host).await.map_err(|why| format!("{host} can't be looked up ({why})"));
    Ok(by_names(&party, &found(site).await?, &found(api).await?, api))
}

fn by_names(party: &str, site: &Names, api: &Names, host: &str) -> Durability {
    if let Some(cname) = &api.cname {
        return if registrable(cname).as_deref() == Some(party) {
            Durability::Full(format!("{host} leads to {cname}, which is of the same site"))
        } else if site.cname.as_ref() == Some(cname) {
            Durability::Full(format!("the site and {host} both lead to {cname}"))
        } else {
            Durability::SevenDays(format!("{host} leads to {cname}, which isn't the site's"))
        };
    }
    let shared = site.addresses.iter().any(|one| api.addresses.iter().any(|other| are_near(*one, *other)));
    if shared {
        Durability::Full(format!("{host} has an address near the site's, which lasts as long as that is so"))
    } else {
        Durability::SevenDays(format!("the addresses of {host} aren't near the site's"))
    }
}

/// Do they share their first 16 bits (IPv4) or 64 bits (IPv6)?
fn are_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
        _ => false,
    }
}

/// The domain that one owner has: `example.co.uk` of `www.example.co.uk`. None for addresses and public suffixes.
pub(super) fn registrable(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return None;
    }
    psl::domain_str(&host).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "www.example.com";

    /// A host, what it leads to, and its addresses.
    type Record = (&'static str, Option<&'static str>, &'static [&'static str]);

    async fn judged(site: &str, api: &str, records: &[Record]) -> Result<Durability, String> {
        let look_up = |host: &str| -> futures_util::future::BoxFuture<'_, Result<Names, String>> {
            let found = records.iter().find(|(name, ..)| *name == host).map(|(_, cname, addresses)| Names {
                cname: cname.map(str::to_owned),
                addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            });
            Box::pin(std::future::ready(found.ok_or_else(|| "no such host".to_owned())))
        };
        judge(site, api, &look_up).await
    }

    #[tokio::test]
    async fn a_cookie_lasts_where_the_api_is_the_sites_own() {
        const CLOUDFRONT: &str = "d111111abcdef8.cloudfront.net";
        let cases: [(&str, &str, &[Record], &str); 16] = [
            ("the same host", SITE, &[], "full"),
            ("AWS' own address", "x.execute-api.eu-west-1.amazonaws.com", &[], "dropped"),
            ("another domain", "api.example.org", &[], "dropped"),
            ("a domain that ends alike", "api.notexample.com", &[], "dropped"),
            (
                "a CNAME to API Gateway",
                "api.example.com",
                &[
                    (SITE, None, &["192.0.2.1"]),
                    ("api.example.com", Some("d-1.execute-api.eu-west-1.amazonaws.com"), &["198.51.100.1"]),
                ],
                "seven days",
            ),
            (
                "a CNAME to API Gateway, whose address is near",
                "api.example.com",
                &[
                    (SITE, None, &["192.0.2.1"]),
                    ("api.example.com", Some("d-1.execute-api.eu-west-1.amazonaws.com"), &["192.0.2.1"]),
                ],
                "seven days",
            ),
            (
                "a CNAME within the site",
                "api.example.com",
                &[(SITE, None, &["192.0.2.1"]), ("api.example.com", Some("origin.example.com"), &["198.51.100.1"])],
                "full",
            ),
            (
                "a CNAME within a domain that ends alike",
                "api.example.com",
                &[(SITE, None, &["192.0.2.1"]), ("api.example.com", Some("origin.notexample.com"), &["198.51.100.1"])],
                "seven days",
            ),
            (
                "both on one distribution",
                "api.example.com",
                &[(SITE, Some(CLOUDFRONT), &["192.0.2.1"]), ("api.example.com", Some(CLOUDFRONT), &["198.51.100.1"])],
                "full",
            ),
            (
                "on two distributions of one CDN",
                "api.example.com",
                &[
                    (SITE, Some(CLOUDFRONT), &["192.0.2.1"]),
                    ("api.example.com", Some("d2.cloudfront.net"), &["192.0.2.2"]),
                ],
                "seven days",
            ),
            (
                "an ALIAS far away",
                "api.example.com",
                &[(SITE, None, &["192.0.2.1"]), ("api.example.com", None, &["198.51.100.1"])],
                "seven days",
            ),
            (
                "an ALIAS to the same /16",
                "api.example.com",
                &[(SITE, None, &["192.0.2.1"]), ("api.example.com", None, &["192.0.77.9"])],
                "full",
            ),
            (
                "an ALIAS, where the site has a CNAME",
                "api.example.com",
                &[(SITE, Some(CLOUDFRONT), &["192.0.2.1"]), ("api.example.com", None, &["192.0.2.1"])],
                "full",
            ),
            (
                "IPv6 in the same /64",
                "api.example.com",
                &[(SITE, None, &["2001:db8:1:2::1"]), ("api.example.com", None, &["2001:db8:1:2:ffff::1"])],
                "full",
            ),
            (
                "IPv6 in the same /48",
                "api.example.com",
                &[(SITE, None, &["2001:db8:1:2::1"]), ("api.example.com", None, &["2001:db8:1:3::1"])],
                "seven days",
            ),
            (
                "one has IPv4, the other IPv6",
                "api.example.com",
                &[(SITE, None, &["192.0.2.1"]), ("api.example.com", None, &["2001:db8::1"])],
                "seven days",
            ),
        ];
        for (case, api, records, expected) in cases {
            let durability = match judged(SITE, api, records).await.unwrap() {
                Durability::Full(_) => "full",
                Durability::SevenDays(_) => "seven days",
                Durability::Dropped => "dropped",
            };
            assert_eq!(durability, expected, "{case}");
        }
    }

    #[tokio::test]
    async fn a_public_suffix_is_no_site() {
        let judged = judged("shop.github.io", "api.github.io", &[]).await;
        assert_eq!(judged, Ok(Durability::Dropped));
        assert_eq!(registrable("www.example.co.uk").as_deref(), Some("example.co.uk"));
        for none in ["co.uk", "github.io", "127.0.0.1", "[::1]", ""] {
            assert_eq!(registrable(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_known_is_said() {
        let error = judged(SITE, "api.example.com", &[]).await.unwrap_err();
        assert!(error.contains("www.example.com can't be looked up"), "{error}");
    }
}
