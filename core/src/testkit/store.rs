//! [`MemoryStore`]: a checkpoint store in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::script::number_of;
use super::{Act, Ledger};
use crate::contracts::{BoxFuture, Cause, Checkpoint, Error, Key, Opened, Result, Store, StoreFactory};
use crate::data::Position;

/// A checkpoint store in memory that writes a ledger. Clones share what it keeps: a second run goes on from there.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    ledger: Ledger,
    kept: Arc<Mutex<BTreeMap<Key, Position>>>,
    ended: Arc<AtomicBool>,
    /// How many saves go well.
    good: Arc<AtomicU32>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            kept: Arc::default(),
            ended: Arc::default(),
            good: Arc::new(AtomicU32::new(u32::MAX)),
        }
    }

    /// Fails for ever after so many saves.
    #[must_use]
    pub fn fails_after(self, saves: u32) -> Self {
        self.good.store(saves, Relaxed);
        self
    }

    fn works(&self) -> Result<()> {
        match self.good.load(Relaxed) {
            0 => Err(Error::new(Cause::Outside, "the script says that the store fails")),
            _ => Ok(()),
        }
    }

    fn keep(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        self.works()?;
        self.good.fetch_sub(1, Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for Checkpoint { key, position } in checkpoints {
            let (partition, upto) = (key.partition.to_string(), number_of(position));
            self.ledger.note(Act::Saved { partition, upto });
            kept.insert(key.clone(), position.clone());
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> BoxFuture<'_, Result<Vec<Checkpoint>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint =
            |(key, position): (&Key, &Position)| Checkpoint { key: key.clone(), position: position.clone() };
        let all = kept.iter().map(checkpoint).collect();
        Box::pin(std::future::ready(Ok(all)))
    }

    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(self.keep(checkpoints)))
    }

    fn ended(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(std::future::ready(Ok(self.ended.load(Relaxed))))
    }

    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Result<()>> {
        let kept = self.works().map(|()| self.ended.store(ended, Relaxed));
        Box::pin(std::future::ready(kept))
    }
}

impl StoreFactory for MemoryStore {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn open(&self, _: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>> {
        Box::pin(std::future::ready(Ok(Box::new(self.clone()) as Box<dyn Store>)))
    }
}
