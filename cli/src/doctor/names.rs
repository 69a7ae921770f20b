//! What DNS says of a host.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

/// A longer chain is a loop.
const LONGEST_CHAIN: usize = 10;

/// What a host's name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The last of its CNAMEs.
    pub cname: Option<String>,
    pub addresses: Vec<IpAddr>,
}

/// Looks a host up; or says why it can't.
pub(super) type Lookup<'a> = dyn Fn(&str) -> BoxFuture<'a, Result<Names, String>> + 'a;

/// Asks this machine's resolver.
pub(super) async fn look_up(host: &str) -> Result<Names, String> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(Names { cname: None, addresses: vec![address] });
    }
    if host == "localhost" {
        return Ok(Names { cname: None, addresses: vec![IpAddr::from([127, 0, 0, 1])] });
    }
    let resolver = resolver();
    let mut cname: Option<String> = None;
    for _ in 0..LONGEST_CHAIN {
        let name = format!("{}.", cname.as_deref().unwrap_or(host));
        let Ok(answer) = resolver.lookup(name, RecordType::CNAME).await else { break };
        let target = answer.iter().find_map(|record| match record {
            RData::CNAME(target) => Some(target.0.to_utf8()),
            _ => None,
        });
        let Some(target) = target else { break };
        cname = Some(target.trim_end_matches('.').to_ascii_lowercase());
    }
    let addresses = resolver.lookup_ip(format!("{host}.")).await.map_err(|_| "DNS has no address for it".to_owned())?;
    Ok(Names { cname, addresses: addresses.iter().collect() })
}

fn resolver() -> TokioResolver {
    let from_system = Resolver::builder_tokio();
    let mut builder = from_system.unwrap_or_else(|_| {
        Resolver::builder_with_config(ResolverConfig::default(), TokioConnectionProvider::default())
    });
    let options = builder.options_mut();
    options.timeout = Duration::from_secs(3);
    options.attempts = 2;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build()
}
