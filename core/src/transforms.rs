//! The stages between source and sink, one typed loop each. A stage's own panic is caught and becomes the failure of the
//! record it was at: by the batch while all goes well, from the next row on when one did not.
//!
//! This module imports `data` and `contracts`.

mod apply;
mod count;
mod filter;
mod flat_map;
mod fold;
mod key_by;
mod map;
mod map_async;

pub use apply::Apply;
pub use count::Count;
pub use filter::Filter;
pub use flat_map::FlatMap;
pub use fold::{FoldAll, FoldByKey};
pub use key_by::KeyBy;
pub use map::{Map, MapRef, TryMap};
pub use map_async::MapAsync;
