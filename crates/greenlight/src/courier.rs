//! Carries messages to webhooks, and only to places that anybody on the internet could reach.
//!
//! Whoever may add a webhook names a URL, and this server calls it. So it never calls an address of a private network,
//! also not one behind a public name: every address is looked at when the connection is made. Redirects are not followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use greenlight_app::webhook::{Courier, Reply};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

/// Longest time that a message may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(5);
/// What is kept of an answer, bytes.
const REPLY: usize = 64 << 10;

/// The courier of a server.
pub(crate) struct HttpCourier {
    http: reqwest::Client,
    /// Whether private addresses and plain HTTP are called too.
    private: bool,
}

impl HttpCourier {
    /// A courier; with `private` it calls every address, also over plain HTTP.
    pub(crate) fn new(private: bool) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("greenlight/", env!("CARGO_PKG_VERSION")));
        let client = if private { client } else { client.dns_resolver(PublicOnly) };
        Ok(Self { http: client.build()?, private })
    }

    /// The URL, if its scheme and its host may be called; a host that is a name is looked up later.
    fn parsed(&self, url: &str) -> Result<Url, String> {
        let parsed = Url::parse(url).map_err(|error| format!("Invalid webhook URL '{url}': {error}"))?;
        let allowed: &[&str] = if self.private { &["http", "https"] } else { &["https"] };
        if !allowed.contains(&parsed.scheme()) {
            return Err(format!(
                "Invalid webhook URL scheme: '{}'. Allowed schemes are: {}.",
                parsed.scheme(),
                allowed.join(", ")
            ));
        }
        let host =
            parsed.host_str().ok_or_else(|| format!("Webhook URL must include a hostname: '{url}'"))?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Ok(address) = literal
            && !self.private
            && !is_public(address)
        {
            return Err(refused(host, address));
        }
        Ok(parsed)
    }
}

fn refused(host: &str, address: IpAddr) -> String {
    format!("Webhook URL must not resolve to a non-public IP address. '{host}' resolves to {address}.")
}

/// All addresses of a name, each of them public.
async fn public_addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let found = found.map_err(|_| {
        format!("Timed out resolving Webhook URL hostname '{host}' after {} seconds", RESOLVE.as_secs())
    })?;
    let found: Vec<SocketAddr> =
        found.map_err(|error| format!("Cannot resolve Webhook URL hostname '{host}': {error}"))?.collect();
    match found.iter().find(|address| !is_public(address.ip())) {
        Some(address) => Err(refused(host, address.ip())),
        None => Ok(found),
    }
}

/// Resolves names to public addresses only, at every connection: what a name says may change after it was checked.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = public_addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to everybody's internet (IANA's registries of special-purpose addresses); one that hides
/// an IPv4 address is judged by that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => hidden(address).map_or_else(|| is_public_v6(address), is_public_v4),
    }
}

/// The IPv4 address in a mapped one, in one of 6to4 and in one of NAT64.
fn hidden(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let four = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    match address.segments() {
        [0x2002, ..] => Some(four(2)),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(four(12)),
        _ => address.to_ipv4_mapped(),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (b == 18 || b == 19);
    let protocols = (a, b, c) == (192, 0, 0);
    !(a == 0
        || a >= 224
        || shared
        || benchmark
        || protocols
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is given out; of it, not protocols' own, documentation's and 6to4's.
    let given_out = segments[0] & 0xe000 == 0x2000;
    let protocols = segments[0] == 0x2001 && segments[1] < 0x200;
    let documentation = (segments[0] == 0x2001 && segments[1] == 0xdb8) || segments[0] & 0xfff0 == 0x3ff0;
    given_out && !protocols && !documentation
}

#[async_trait]
impl Courier for HttpCourier {
    async fn check(&self, url: &str) -> Result<(), String> {
        let parsed = self.parsed(url)?;
        let host = parsed.host_str().unwrap_or_default();
        if self.private || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        public_addresses(host, parsed.port_or_known_default().unwrap_or(443)).await.map(|_| ())
    }

    async fn post(&self, url: &str, headers: &[(&str, String)], body: String) -> Result<Reply, String> {
        let mut request = self.http.post(self.parsed(url)?).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send().await.map_err(|error| in_full(&error))?;
        let seconds =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut start = Vec::new();
        while start.len() < REPLY {
            // What was answered counts, also when the rest of it is lost.
            let Ok(Some(chunk)) = response.chunk().await else { break };
            start.extend_from_slice(&chunk[..chunk.len().min(REPLY - start.len())]);
        }
        Ok(Reply {
            status: response.status().as_u16(),
            body: String::from_utf8_lossy(&start).into_owned(),
            retry_after: seconds.map(Duration::from_secs),
        })
    }
}

/// An error with what caused it; the URL may hold a password and is left out.
fn in_full(error: &reqwest::Error) -> String {
    let mut text = "the receiver cannot be reached".to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_everybodys_internet_are_public() {
        for public in ["1.1.1.1", "100.63.0.1", "172.32.0.1", "2606:4700::1", "64:ff9b::101:101"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn a_url_is_refused_for_its_scheme_its_host_and_what_that_resolves_to() {
        let courier = HttpCourier::new(false).unwrap();
        for (url, why) in [
            ("http://example.com", "Invalid webhook URL scheme: 'http'"),
            ("ftp://example.com", "Invalid webhook URL scheme: 'ftp'"),
            ("https://[invalid", "Invalid webhook URL"),
            ("https://10.0.0.1/x", "resolves to 10.0.0.1"),
            ("https://[::ffff:127.0.0.1]/", "must not resolve"),
            ("https://0x7f000001/", "resolves to 127.0.0.1"),
            ("https://localhost/", "'localhost' resolves to"),
        ] {
            let refused = courier.check(url).await.unwrap_err();
            assert!(refused.contains(why), "{url}: {refused}");
        }
        let courier = HttpCourier::new(true).unwrap();
        courier.check("http://localhost:1/").await.unwrap();
    }

    /// A name that is public when it is checked and private when it is called is refused at the call.
    #[tokio::test]
    async fn a_name_is_looked_at_again_when_it_is_called() {
        let courier = HttpCourier::new(false).unwrap();
        let failed = courier.post("https://localhost:1/", &[], String::new()).await.unwrap_err();
        assert!(failed.contains("must not resolve to a non-public IP address"), "{failed}");
    }
}
