//! [`Disks`]: the checkpoint store of each instance, on a disk of its own that survives kills.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::contracts::{BoxFuture, Checkpoint, Key, Opened, Result, Store, StoreFactory};
use millstream::data::Position;
use millstream_core::testkit::number_of;

use crate::life::Life;
use crate::outside::{Outside, lock};
use crate::truth::partition_of;

/// What the disk of each instance keeps.
pub(crate) struct Disks(Vec<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    positions: BTreeMap<Key, Position>,
    ended: bool,
}

impl Disks {
    pub(crate) fn new(instances: usize) -> Self {
        Self((0..instances).map(|_| Mutex::default()).collect())
    }

    /// Up to where a partition is read, as a store keeps.
    pub(crate) fn saved(&self, partition: usize) -> u64 {
        let saved = |kept: &Mutex<Kept>| {
            let kept = lock(kept);
            let of = kept.positions.iter().filter(|(key, _)| partition_of(key.partition.name()) == Some(partition));
            of.map(|(_, position)| number_of(position)).max().unwrap_or_default()
        };
        self.0.iter().map(saved).max().unwrap_or_default()
    }
}

/// The checkpoint store of one start of an instance.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) outside: Arc<Outside>,
    pub(crate) life: Life,
    /// How long a save takes.
    pub(crate) slow: Duration,
}

impl Disk {
    fn kept(&self) -> &Mutex<Kept> {
        &self.outside.disks.0[self.life.instance]
    }
}

impl StoreFactory for Disk {
    fn name(&self) -> String {
        format!("disk of instance {}", self.life.instance + 1)
    }

    fn open(&self, _: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>> {
        Box::pin(async {
            self.life.lives().await;
            let store: Box<dyn Store> = Box::new(self.clone());
            Ok(store)
        })
    }
}

impl Store for Disk {
    fn load(&mut self) -> BoxFuture<'_, Result<Vec<Checkpoint>>> {
        Box::pin(async {
            self.life.lives().await;
            let kept = lock(self.kept());
            let checkpoint =
                |(key, position): (&Key, &Position)| Checkpoint { key: key.clone(), position: position.clone() };
            Ok(kept.positions.iter().map(checkpoint).collect())
        })
    }

    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.life.waits(self.slow).await;
            for Checkpoint { key, position } in checkpoints {
                let of = partition_of(key.partition.name()).expect("only our partitions are saved");
                self.outside.commits(of, number_of(position), "a store keeps");
                lock(self.kept()).positions.insert(key.clone(), position.clone());
            }
            Ok(())
        })
    }

    fn ended(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async {
            self.life.lives().await;
            Ok(lock(self.kept()).ended)
        })
    }

    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.life.waits(self.slow).await;
            lock(self.kept()).ended = ended;
            Ok(())
        })
    }
}
