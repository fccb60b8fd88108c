//! Names to addresses: looked up beside the runtime, kept for a minute. A name that nobody answers for keeps neither its
//! own further probes nor those of other names busy: one look-up per name, and few at a time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// How long addresses are used. Older ones are used once more while new ones are looked up.
const ADDRESSES_LAST: Duration = Duration::from_secs(60);
/// How long a name that could not be resolved is not asked for again.
const FAILURE_LASTS: Duration = Duration::from_secs(5);
/// Look-ups at a time; each may hold a thread for as long as the system's resolver takes.
const MAX_LOOKUPS: usize = 32;
/// Names that are remembered.
const MAX_NAMES: usize = 10_000;

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

/// Cheap to clone; clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Mutex<HashMap<Box<str>, Lookup>>,
    permits: Semaphore,
}

#[derive(Clone, Debug)]
struct Lookup {
    since: Instant,
    /// `None` until it is known.
    answer: watch::Receiver<Option<Answer>>,
}

impl Lookup {
    fn is_worn(&self) -> bool {
        match &*self.answer.borrow() {
            None => false,
            Some(Ok(_)) => self.since.elapsed() >= ADDRESSES_LAST,
            Some(Err(_)) => self.since.elapsed() >= FAILURE_LASTS,
        }
    }
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { names: Mutex::default(), permits: Semaphore::new(MAX_LOOKUPS) }))
    }

    /// The addresses of a host, the best first; or one sentence.
    pub(crate) async fn addresses(&self, host: url::Host<&str>) -> Answer {
        match host {
            url::Host::Ipv4(address) => Ok(Arc::new([address.into()])),
            url::Host::Ipv6(address) => Ok(Arc::new([address.into()])),
            url::Host::Domain(name) => {
                let mut answer = self.lookup(name).answer;
                let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
                answer.unwrap_or_else(|| Err("the look-up of its name was cut off".into()))
            }
        }
    }

    /// What is known of the name, or is being looked up.
    fn lookup(&self, name: &str) -> Lookup {
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(name);
        if let Some(lookup) = known.filter(|lookup| !lookup.is_worn()) {
            return lookup.clone();
        }
        let old_addresses = known.and_then(|lookup| lookup.answer.borrow().clone().filter(Result::is_ok));
        let (sender, answer) = watch::channel(old_addresses);
        let lookup = Lookup { since: Instant::now(), answer };
        if names.len() >= MAX_NAMES {
            names.retain(|_, lookup| !lookup.is_worn());
        }
        if names.len() < MAX_NAMES {
            names.insert(name.into(), lookup.clone());
        }
        tokio::spawn(self.clone().ask(name.into(), sender));
        lookup
    }

    async fn ask(self, name: Box<str>, answer: watch::Sender<Option<Answer>>) {
        let _permit = self.0.permits.acquire().await;
        let found = match tokio::net::lookup_host((&*name, 0)).await {
            Ok(addresses) => {
                let addresses: Arc<[IpAddr]> = addresses.map(|address| address.ip()).collect();
                if addresses.is_empty() { Err("its name has no address".into()) } else { Ok(addresses) }
            }
            Err(error) => Err(format!("its name cannot be resolved: {error}").into()),
        };
        // Kept in the cache even where nobody waits any more.
        answer.send_replace(Some(found));
    }
}

impl dns::Resolve for Resolver {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses =
                resolver.addresses(url::Host::Domain(name.as_str())).await.map_err(|error| error.to_string())?;
            let addresses: Vec<SocketAddr> = addresses.iter().map(|&address| (address, 0).into()).collect();
            Ok(Box::new(addresses.into_iter()) as dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCALHOST: url::Host<&str> = url::Host::Domain("localhost");

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_everybody_who_asks() {
        let resolver = Resolver::new();
        let addresses = resolver.addresses(LOCALHOST).await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(Arc::ptr_eq(&addresses, &resolver.addresses(LOCALHOST).await.unwrap()));
    }

    #[tokio::test]
    async fn worn_addresses_are_used_while_new_ones_are_looked_up() {
        let resolver = Resolver::new();
        let first = resolver.addresses(LOCALHOST).await.unwrap();
        resolver.0.names.lock().unwrap().get_mut("localhost").unwrap().since -= ADDRESSES_LAST;
        let permits = resolver.0.permits.acquire_many(MAX_LOOKUPS as u32).await.unwrap();
        assert!(Arc::ptr_eq(&first, &resolver.addresses(LOCALHOST).await.unwrap()), "nothing new can be known yet");
        drop(permits);
        let mut new = resolver.lookup("localhost").answer;
        new.wait_for(|answer| matches!(answer, Some(Ok(addresses)) if !Arc::ptr_eq(addresses, &first))).await.unwrap();
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_says_so() {
        let error = Resolver::new().addresses(url::Host::Domain("nobody.invalid")).await.unwrap_err();
        assert!(error.starts_with("its name "), "{error}");
    }
}
