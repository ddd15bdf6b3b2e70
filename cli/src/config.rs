//! What this command takes from its environment. The only file that reads variables; the AWS library reads AWS's own.

use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The variables and places that matter, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) home: Option<PathBuf>,
    pub(crate) xdg_cache_home: Option<PathBuf>,
    pub(crate) xdg_config_home: Option<PathBuf>,
    /// `WASMJOB_CACHE_DIR`.
    pub(crate) cache_directory: Option<PathBuf>,
    /// `WASMJOB_LOG`: a filter such as `info` or `runner=debug`.
    pub(crate) log: Option<String>,
    /// `IPFS_GATEWAY`: URLs, separated by white space.
    pub(crate) ipfs_gateway: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`, which outranks `AWS_ENDPOINT_URL`.
    pub(crate) s3_endpoint: Option<String>,
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` switches the former off.
    pub(crate) ignore_configured_endpoints: bool,
    /// `AWS_PROFILE`.
    pub(crate) profile: Option<String>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let path = |name| variable(name).map(PathBuf::from);
        // The XDG specification: a relative path is to be ignored.
        let xdg = |name| path(name).filter(|path| path.is_absolute());
        Self {
            home: path("HOME"),
            xdg_cache_home: xdg("XDG_CACHE_HOME"),
            xdg_config_home: xdg("XDG_CONFIG_HOME"),
            cache_directory: path("WASMJOB_CACHE_DIR"),
            log: variable("WASMJOB_LOG"),
            ipfs_gateway: variable("IPFS_GATEWAY"),
            s3_endpoint: variable("AWS_ENDPOINT_URL_S3"),
            ignore_configured_endpoints: variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            profile: variable("AWS_PROFILE"),
        }
    }

    /// Where fetched files and compiled modules are kept: the flag, the variable, else the user's cache directory.
    pub(crate) fn cache_directory(&self, flag: Option<&Path>) -> Option<PathBuf> {
        let of_user = || {
            let cache = self.xdg_cache_home.clone().or_else(|| Some(self.home.as_ref()?.join(".cache")))?;
            Some(cache.join("wasmjob/run"))
        };
        flag.map(Path::to_owned).or_else(|| self.cache_directory.clone()).or_else(of_user)
    }

    /// The files in which IPFS tools keep their gateway, in the order they are tried.
    pub(crate) fn ipfs_gateway_files(&self) -> Vec<PathBuf> {
        let in_home = self.home.as_ref().map(|home| home.join(".ipfs/gateway"));
        let config = self.xdg_config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")));
        in_home.into_iter().chain(config.map(|config| config.join("ipfs/gateway"))).collect()
    }
}

/// A variable of this process. Empty counts as unset; text that is no UTF-8 too.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
