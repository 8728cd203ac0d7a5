//! What starts servers, and what breaks them.

pub(crate) mod port;
pub(crate) mod process;
