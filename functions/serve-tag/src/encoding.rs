//! Which content coding a browser prefers (RFC 9110, section 12.5.3).

use lambda_http::http::{HeaderMap, header};

/// Those that there is a file of, the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// The one the browser likes best, and among equals the smallest. Who says nothing, or accepts none of them, gets
    /// the file as it is: that always works.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|list| list.to_str().ok());
        let stated: Vec<_> = lists.flat_map(|list| list.split(',')).filter_map(preference).collect();
        let weight = |encoding: Self| {
            let of = |wanted: &str| stated.iter().find(|(name, _)| name == wanted).map(|(_, weight)| *weight);
            match encoding {
                Self::Brotli => of("br").or_else(|| of("*")).unwrap_or_default(),
                Self::Gzip => of("gzip").or_else(|| of("x-gzip")).or_else(|| of("*")).unwrap_or_default(),
                // Acceptable unless refused, but below whatever is asked for.
                Self::Identity => of("identity").or_else(|| of("*").filter(|it| *it == 0)).unwrap_or(1),
            }
        };
        let mut best = (Self::Identity, 0);
        for encoding in [Self::Brotli, Self::Gzip, Self::Identity] {
            if weight(encoding) > best.1 {
                best = (encoding, weight(encoding));
            }
        }
        best.0
    }

    /// As `Content-Encoding` has it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// A coding in lower case and its weight in thousandths. None for what isn't one.
fn preference(text: &str) -> Option<(String, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let Some(weight) = parts.next() else { return Some((name, 1_000)) };
    let (key, value) = weight.split_once('=')?;
    let weight: f32 = value.trim().parse().ok().filter(|it| (0.0..=1.0).contains(it))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
    key.trim().eq_ignore_ascii_case("q").then_some((name, (weight * 1_000.0) as u16))
}
