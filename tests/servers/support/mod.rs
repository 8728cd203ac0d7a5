//! What starts servers, and what breaks them.

#[path = "../../kill/built.rs"]
pub(crate) mod built;
pub(crate) mod certs;
pub(crate) mod example;
pub(crate) mod http;
pub(crate) mod install;
pub(crate) mod kafka;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod rabbitmq;
pub(crate) mod registry;
