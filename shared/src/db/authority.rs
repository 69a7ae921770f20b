//! Which authority the database's certificate must come from, besides the public ones that sqlx trusts.
//!
//! Supabase signs the certificates of its databases and poolers itself. No public root store has its roots, so without
//! them no function could connect.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sqlx::postgres::PgConnectOptions;

/// Both roots that are in use, until 2031 and until 2035. They have the same name and different keys.
const SUPABASE_ROOTS: &str = include_str!("supabase_roots.pem");
const SUPABASE_DOMAINS: [&str; 2] = ["supabase.com", "supabase.co"];

/// Names of the URL's parameter for a file with the authority's certificate.
const URL_PARAMETERS: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];

/// Reads a setting's value: certificates in PEM, where `\n` may stand for a line break.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    // Consoles and templates write a line break as one or two backslashes and n, and add indentation, quotes or a byte
    // order mark. None of these characters is part of PEM.
    let is_added = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '\u{feff}');
    let lines = text.replace("\\r", "").replace("\\n", "\n");
    let lines = lines.lines().map(|line| line.trim_matches(is_added)).filter(|line| !line.is_empty());
    let pem: String = lines.flat_map(|line| [line, "\n"]).collect();
    if are_certificates(&pem) {
        Ok(pem)
    } else {
        Err("must be the certificate of the database's authority in PEM, from -----BEGIN CERTIFICATE----- to \
             -----END CERTIFICATE-----, with its line breaks or \\n in their place; leave it out for Supabase"
            .into())
    }
}

fn are_certificates(pem: &str) -> bool {
    let mut roots = RootCertStore::empty();
    let all_are_good = CertificateDer::pem_slice_iter(pem.as_bytes())
        .all(|certificate| certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()));
    all_are_good && !roots.is_empty()
}

/// Trusts the authority that the settings name, else Supabase's own if the database is there and `url` names none.
pub(crate) fn trust(options: PgConnectOptions, url: &str, pem: Option<String>) -> PgConnectOptions {
    match pem {
        Some(pem) => options.ssl_root_cert_from_pem(pem.into_bytes()),
        None if is_at_supabase(options.get_host()) && !names_an_authority(url) => {
            options.ssl_root_cert_from_pem(SUPABASE_ROOTS.into())
        }
        None => options,
    }
}

fn is_at_supabase(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    SUPABASE_DOMAINS
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn names_an_authority(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.query_pairs().any(|(name, _)| URL_PARAMETERS.contains(&name.as_ref())))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use sqlx::ConnectOptions;

    use super::*;
    use crate::clock::Clock;
    use crate::identity::Hash;

    /// Fingerprint and last day of each root.
    const ROOTS: [(&str, &str); 2] = [
        ("807025ad50d4ed219d2c9c7d299c004f824eb00cf7f65afef607d07b72e6cafa", "2031-04-26"),
        ("5f9b77951a7aa1303f9b58eea9bfa89e358cfdc15f9786ff10d4930a722c9ae2", "2035-09-01"),
    ];

    fn roots() -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(SUPABASE_ROOTS.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    /// The second time in a certificate: the first is when it begins.
    fn expires(certificate: &[u8]) -> DateTime<Utc> {
        const UTC_TIME: [u8; 2] = [0x17, 13];
        let mut times = certificate.windows(15).filter(|window| window.starts_with(&UTC_TIME) && window[14] == b'Z');
        let time = std::str::from_utf8(&times.next_back().unwrap()[2..]).unwrap();
        DateTime::parse_from_str(&format!("20{}+0000", &time[..12]), "%Y%m%d%H%M%S%z").unwrap().to_utc()
    }

    fn trusted_roots(url: &str, pem: Option<&str>) -> Option<String> {
        let options = trust(url.parse().unwrap(), url, pem.map(String::from));
        let url = options.to_url_lossy();
        url.query_pairs().find(|(name, _)| name == "sslrootcert").map(|(_, value)| value.into_owned())
    }

    #[test]
    fn the_roots_are_those_that_supabase_publishes() {
        let known: Vec<_> = roots()
            .iter()
            .map(|root| {
                let fingerprint = Hash::of(root).as_str().to_owned();
                (fingerprint, expires(root).date_naive().to_string())
            })
            .collect();
        assert_eq!(known, ROOTS.map(|(fingerprint, day)| (fingerprint.to_owned(), day.to_owned())));
    }

    #[test]
    fn no_root_expires_within_a_year() {
        for root in roots() {
            let left = expires(&root) - Clock::system().now();
            assert!(
                left > TimeDelta::days(365),
                "a root of Supabase expires in {} days: ship the next",
                left.num_days()
            );
        }
    }

    #[test]
    fn they_are_trusted_at_supabase_and_nowhere_else() {
        for host in [
            "aws-0-eu-central-1.pooler.supabase.com",
            "AWS-0-EU-CENTRAL-1.POOLER.SUPABASE.COM",
            "db.abcdefghijklmnopqrst.supabase.co",
            "supabase.com",
        ] {
            let roots = trusted_roots(&format!("postgresql://app:pw@{host}:6543/postgres"), None);
            assert_eq!(roots.as_deref(), Some(SUPABASE_ROOTS), "{host}");
        }
        for host in ["db.example.com", "notsupabase.com", "supabase.com.example.com", "supabase.community", "localhost"]
        {
            assert_eq!(trusted_roots(&format!("postgresql://app:pw@{host}:6543/postgres"), None), None, "{host}");
        }
    }

    #[test]
    fn an_authority_of_ones_own_comes_first() {
        let url = "postgresql://app:pw@db.abc.supabase.co:6543/postgres";
        assert_eq!(trusted_roots(url, Some("own")).as_deref(), Some("own"));
        let file = trusted_roots(&format!("{url}?sslrootcert=/etc/own.pem"), None);
        assert_eq!(file.as_deref(), Some("file: /etc/own.pem"));
    }

    #[test]
    fn a_certificate_is_read_with_line_breaks_or_what_stands_for_them() {
        let written_out = SUPABASE_ROOTS.replace('\n', "\\n");
        let from_windows = SUPABASE_ROOTS.replace('\n', "\\r\\n");
        let escaped_twice = SUPABASE_ROOTS.replace('\n', "\\\\n");
        let from_windows_twice = SUPABASE_ROOTS.replace('\n', "\\\\r\\\\n");
        for text in [SUPABASE_ROOTS, &written_out, &from_windows, &escaped_twice, &from_windows_twice] {
            assert_eq!(parse(text).as_deref(), Ok(SUPABASE_ROOTS), "{text}");
        }
    }

    #[test]
    fn indentation_quotes_and_a_byte_order_mark_are_no_part_of_a_certificate() {
        let written_out = SUPABASE_ROOTS.replace('\n', "\\n");
        for text in [
            SUPABASE_ROOTS.replace('\n', "\r\n    "),
            format!("\t{}", SUPABASE_ROOTS.replace('\n', "  \n\n\t")),
            format!("\"{SUPABASE_ROOTS}\""),
            format!("'{written_out}'"),
            format!("\u{feff}{SUPABASE_ROOTS}"),
            format!("\u{feff}\"  {written_out}\"\n"),
        ] {
            assert_eq!(parse(&text).as_deref(), Ok(SUPABASE_ROOTS), "{text}");
        }
    }

    #[test]
    fn text_without_a_certificate_is_refused_with_the_fix() {
        let one_line = SUPABASE_ROOTS.replace('\n', " ");
        let key = "-----BEGIN PRIVATE KEY-----\nMTIz\n-----END PRIVATE KEY-----";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nMTIz\n-----END CERTIFICATE-----";
        let cut_off = &SUPABASE_ROOTS[..500];
        for text in ["prod-ca-2021.crt", "hush", &one_line, key, no_certificate, cut_off] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains("-----BEGIN CERTIFICATE-----"), "{problem}");
            assert!(!problem.contains("MTIz") && !problem.contains("hush"), "{problem}");
        }
    }
}
