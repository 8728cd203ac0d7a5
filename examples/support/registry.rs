//! The flags that say how schema registries are reached: `--registry`, and `--to-registry` where there are two. Passwords
//! come from the environment: what is given as a flag, everybody on the machine can see.

use std::path::PathBuf;

use millstream::prelude::avro::Registry;

/// The schema registry of what is read or, if there is no other, written.
#[derive(clap::Args)]
pub(crate) struct One {
    /// Schema registry: http[s]://host:port[/path]; several: the next is asked when those before it don't
    /// answer
    #[arg(id = "registry", long = "registry", value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Who asks the registry (basic authentication); the password is that of the environment variable
    /// REGISTRY_PASSWORD
    #[arg(id = "registry_user", long = "registry-user", value_name = "USER")]
    user: Option<String>,
    /// File with certificates (PEM) of authorities that the registry's certificate is trusted by, beside the
    /// system's
    #[arg(id = "registry_ca", long = "registry-ca", value_name = "F")]
    authorities: Option<PathBuf>,
}

/// The schema registry of what is written, where that is another.
#[derive(clap::Args)]
pub(crate) struct Other {
    /// Schema registry of what is written; several: the next is asked when those before it don't answer
    #[arg(id = "to_registry", long = "to-registry", value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Who asks it (basic authentication); the password is that of the environment variable
    /// TO_REGISTRY_PASSWORD
    #[arg(id = "to_registry_user", long = "to-registry-user", value_name = "USER")]
    user: Option<String>,
    /// File with certificates (PEM) of authorities that its certificate is trusted by, beside the system's
    #[arg(id = "to_registry_ca", long = "to-registry-ca", value_name = "F")]
    authorities: Option<PathBuf>,
}

impl One {
    pub(crate) fn registry(self) -> Registry {
        registry(self.urls, self.user, "REGISTRY_PASSWORD", self.authorities)
    }
}

impl Other {
    pub(crate) fn registry(self) -> Registry {
        registry(self.urls, self.user, "TO_REGISTRY_PASSWORD", self.authorities)
    }
}

fn registry(urls: Vec<String>, user: Option<String>, password: &str, authorities: Option<PathBuf>) -> Registry {
    let mut urls = urls.into_iter();
    let first = Registry::at(urls.next().unwrap_or_default());
    let mut registry = urls.fold(first, Registry::or_at);
    if let Some(user) = user {
        let Ok(password) = std::env::var(password) else {
            super::refuse(format!("the user {user} needs a password: set the environment variable {password}"))
        };
        registry = registry.basic_auth(user, password);
    }
    if let Some(path) = authorities {
        registry = registry.trusting_file(path).unwrap_or_else(|error| super::refuse(error.chain()));
    }
    registry.check().unwrap_or_else(|error| super::refuse(error.chain()));
    registry
}
