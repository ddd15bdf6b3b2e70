//! One hop of a chain of redirects: what a URL must be before anything is asked of its host.

use crds::reason::Reason;
use url::Url;

use crate::failure::Failure;

/// Longest URL that is asked for, in bytes.
const URL_BYTES: usize = 8192;

/// The URL of the spec, parsed by the one parser there is.
pub(super) fn first_hop(text: &str) -> Result<Url, Failure> {
    let refused = |why: &str| Failure::new(Reason::InvalidSpec, format!("http.url: {why}"));
    if text.len() > URL_BYTES {
        return Err(refused("longer than 8192 bytes"));
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(refused("control characters and backslashes are not part of a URL; percent-encode them"));
    }
    let url = Url::parse(text).map_err(|e| refused(&format!("not a URL: {e}")))?;
    check(&url).map_err(|why| match why {
        Unfit::Scheme => Failure::new(Reason::FetchDenied, format!("{}: {}", shown(&url), why.text())),
        Unfit::Userinfo => refused(why.text()),
    })?;
    Ok(url)
}

/// Where a redirect from `from` leads. `location` is the header's value.
pub(in crate::fetch) fn next_hop(from: &Url, location: Option<&[u8]>) -> Result<Url, Failure> {
    let what = shown(from);
    let failed = |why: &str| Failure::new(Reason::FetchFailed, format!("{what}: {why}"));
    let denied = |why: &str| Failure::new(Reason::FetchDenied, format!("{what}: {why}"));
    let location = location.ok_or_else(|| failed("a redirect without a Location"))?;
    let text = std::str::from_utf8(location).ok().filter(|text| text.len() <= URL_BYTES);
    let mut url = text.and_then(|text| from.join(text).ok()).ok_or_else(|| failed("a redirect to something that is no URL"))?;
    check(&url).map_err(|why| denied(&format!("a redirect was refused: {}", why.text())))?;
    if from.scheme() == "https" && url.scheme() != "https" {
        return Err(denied("a redirect from https to http was refused"));
    }
    url.set_fragment(None);
    Ok(url)
}

/// A URL for people: without query and fragment, which hold the signatures of signed URLs.
pub(in crate::fetch) fn shown(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_fragment(None);
    bare.set_query(None);
    // Fails only where there is no host, and then no userinfo either.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    if url.query().is_some() { format!("{bare}?…") } else { bare.to_string() }
}

#[derive(Clone, Copy)]
enum Unfit {
    Scheme,
    Userinfo,
}

impl Unfit {
    const fn text(self) -> &'static str {
        match self {
            Self::Scheme => "only http and https are fetched",
            Self::Userinfo => "a URL with a user name or password; use a signed URL instead",
        }
    }
}

fn check(url: &Url) -> Result<(), Unfit> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Unfit::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Unfit::Userinfo);
    }
    Ok(())
}
