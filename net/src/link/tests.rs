//! Real QUIC over loopback, several instances in one process.

mod floods;
mod frames;
mod loss;
mod refusals;
mod support;
