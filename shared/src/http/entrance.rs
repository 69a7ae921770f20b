//! Who may come in, and who they are: the websites whose pages may call, and a proxy of the website that says for whom
//! it calls.

use std::net::IpAddr;

use lambda_http::Request;
use lambda_http::request::RequestContext;
use secrecy::{ExposeSecret, SecretString};

use super::authorization::is_same;
use super::cors::Origins;
use crate::clock::Clock;
use crate::settings::{FromSettings, Settings};

/// The headers of a proxy. The key is the setting PROXY_KEY; the address is that of the proxy's own caller.
pub const PROXY_KEY_HEADER: &str = "x-adtrail-proxy-key";
pub const CLIENT_ADDRESS_HEADER: &str = "x-adtrail-client-address";

/// The same for all endpoints.
#[derive(Debug, Default)]
pub struct Entrance {
    pub origins: Origins,
    /// The current one, and the previous one while it is being replaced.
    proxy_keys: Vec<SecretString>,
}

impl FromSettings for Entrance {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        let proxy_keys = ["PROXY_KEY", "PROXY_KEY_PREVIOUS"].into_iter().filter_map(|name| settings.own_secret(name));
        let proxy_keys = proxy_keys.collect();
        Self { origins: Origins::from_settings(settings, clock), proxy_keys }
    }
}

impl Entrance {
    /// Without a proxy.
    #[must_use]
    pub fn of(origins: Origins) -> Self {
        Self { origins, proxy_keys: Vec::new() }
    }

    /// Takes for the caller's address what a proxy with the key says. Anybody else's word counts for nothing.
    pub(super) fn identify(&self, request: &mut Request) {
        let headers = request.headers();
        let given = headers.get(PROXY_KEY_HEADER).map_or(&[][..], |it| it.as_bytes());
        let is_proxy = self.proxy_keys.iter().any(|key| is_same(given, key.expose_secret().as_bytes()));
        let address = headers.get(CLIENT_ADDRESS_HEADER).and_then(|it| it.to_str().ok()?.trim().parse::<IpAddr>().ok());
        if let (true, Some(address), Some(RequestContext::ApiGatewayV2(context))) =
            (is_proxy, address, request.extensions_mut().get_mut())
        {
            context.http.source_ip = Some(address.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;

    use super::*;
    use crate::http::address;

    const KEY: &str = "0123456789abcdef";

    const OLD: &str = "fedcba9876543210";

    fn entrance(keys: &[&str]) -> Entrance {
        Entrance { origins: Origins::default(), proxy_keys: keys.iter().copied().map(SecretString::from).collect() }
    }

    fn seen_by(entrance: &Entrance, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = lambda_http::http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::Empty).unwrap();
        let mut context = ApiGatewayV2httpRequestContext::default();
        context.http.source_ip = Some("192.0.2.1".into());
        request.extensions_mut().insert(RequestContext::ApiGatewayV2(context));
        entrance.identify(&mut request);
        address(&request).map(|it| it.to_string())
    }

    #[test]
    fn a_proxy_with_the_key_says_who_calls() {
        let entrance = entrance(&[KEY, OLD]);
        for (key, address) in [(KEY, "203.0.113.7"), (KEY, "2001:db8::7"), (OLD, "203.0.113.7")] {
            let seen = seen_by(&entrance, &[(PROXY_KEY_HEADER, key), (CLIENT_ADDRESS_HEADER, address)]);
            assert_eq!(seen.as_deref(), Some(address));
        }
    }

    #[test]
    fn nobody_else_does() {
        let claim = (CLIENT_ADDRESS_HEADER, "203.0.113.7");
        for (keys, headers) in [
            (&[KEY][..], vec![claim]),
            (&[KEY][..], vec![(PROXY_KEY_HEADER, "another key of 16"), claim]),
            (&[KEY][..], vec![(PROXY_KEY_HEADER, KEY)]),
            (&[KEY][..], vec![(PROXY_KEY_HEADER, KEY), (CLIENT_ADDRESS_HEADER, "unknown")]),
            (&[][..], vec![(PROXY_KEY_HEADER, ""), claim]),
            (&[][..], vec![(PROXY_KEY_HEADER, KEY), claim, ("x-forwarded-for", "203.0.113.7")]),
        ] {
            assert_eq!(seen_by(&entrance(keys), &headers).as_deref(), Some("192.0.2.1"), "{headers:?}");
        }
    }
}
