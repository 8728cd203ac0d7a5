//! What the tests of several sources use: loops that read a source, framings, containers and a compression.

use std::future::Future;

use millstream_core::contracts::{Chunk, Event, Held, Result, Source};
#[cfg(any(feature = "file", feature = "stdin"))]
use millstream_core::data::Bytes;

#[cfg(feature = "file")]
pub(crate) mod containers;
#[cfg(any(feature = "file", feature = "stdin"))]
pub(crate) mod framings;
#[cfg(feature = "file")]
pub(crate) mod hex;

/// Runs a future; time stands still while nothing else is to do.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// The batches of a source from where `held` says to the end; all are kept until then.
pub(crate) fn batches<S: Source>(source: &mut S, held: &Held) -> Result<Vec<Chunk<S::Out>>> {
    run(async {
        source.open(held).await?;
        let mut all = Vec::new();
        while let Event::Records(chunk) = source.next().await? {
            all.push(chunk);
        }
        Ok(all)
    })
}

/// The records of a source that gives bytes, from where `held` says to the end.
#[cfg(any(feature = "file", feature = "stdin"))]
pub(crate) fn records<S: Source<Out = Bytes>>(source: &mut S, held: &Held) -> Result<Vec<Vec<u8>>> {
    let all = batches(source, held)?;
    Ok(all.iter().flat_map(|chunk| (0..chunk.len()).map(|row| chunk.column.get(row).to_vec())).collect())
}
