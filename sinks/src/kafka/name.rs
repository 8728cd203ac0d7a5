//! [`Name`]: what transactions are called, as long as a client of this process has it.
//!
//! Of clients of one name the brokers take the one that begins last, and refuse the others. A client that was dropped, as
//! that of a run that was given up, may be beginning still: the next of its name waits for its end.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long another client is waited for. One that is there for longer is of another run, which ends then.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it is gone.
const LOOK: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Name(());

static NAMES: LazyLock<Mutex<HashMap<String, Weak<Name>>>> = LazyLock::new(Mutex::default);

impl Name {
    /// Waits until no other client of this process has this name at this server.
    pub(super) async fn claim(server: &str, name: &str) -> Arc<Self> {
        let (key, until) = (format!("{server} {name}"), Instant::now() + PATIENCE);
        loop {
            if let Some(claimed) = Self::try_claim(&key, Instant::now() >= until) {
                return claimed;
            }
            sleep(LOOK).await;
        }
    }

    fn try_claim(key: &str, at_any_rate: bool) -> Option<Arc<Self>> {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, name| name.strong_count() > 0);
        if names.contains_key(key) && !at_any_rate {
            return None;
        }
        let name = Arc::new(Self(()));
        names.insert(key.to_owned(), Arc::downgrade(&name));
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_clients_at_a_time() {
        let first = Name::try_claim("one", false);
        assert!(first.is_some() && Name::try_claim("two", false).is_some());
        assert!(Name::try_claim("one", false).is_none());
        let second = Name::try_claim("one", true);
        assert!(second.is_some());
        drop((first, second));
        assert!(Name::try_claim("one", false).is_some());
    }
}
