//! What a plan says of itself: as text for people, as JSON for programs, as a graph for Graphviz. All three print the
//! same [`Plan`](millstream_core::plan::Plan) and decide nothing.

mod dot;
mod json;
mod losses;
mod steps;
mod text;

pub use dot::dot;
pub use json::json;
pub use text::text;
