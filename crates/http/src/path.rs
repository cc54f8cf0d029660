//! Paths as clients write them: `//pins`, a trailing slash and a base path mean what they should, with no redirect.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The page to try the API keeps its slash: its assets are relative to it.
const PAGE: &str = "/docs/";

/// The address with slashes collapsed, and without a trailing one and the base path.
pub(crate) fn normalize(uri: &Uri, base_path: &str) -> Uri {
    let sent = uri.path();
    let untouched =
        base_path.is_empty() && !sent.contains("//") && (!sent.ends_with('/') || matches!(sent, "/" | PAGE));
    if untouched {
        return uri.clone();
    }
    let path = sent.split('/').filter(|part| !part.is_empty()).fold(String::new(), |path, part| path + "/" + part);
    let cut = path.strip_prefix(base_path).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut path = cut.unwrap_or(&path).to_owned();
    if path.is_empty() || (sent.ends_with('/') && format!("{path}/") == PAGE) {
        path.push('/');
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    let Ok(path_and_query) = PathAndQuery::try_from(path) else { return uri.clone() };
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn reads_what_clients_mean() {
        for (sent, base, meant) in [
            ("/pins", "", "/pins"),
            ("//pins", "", "/pins"),
            ("/pins/", "", "/pins"),
            ("//pins///id//?limit=1//", "", "/pins/id?limit=1//"),
            ("/", "", "/"),
            ("//", "", "/"),
            ("/docs/", "", "/docs/"),
            ("//docs//", "", "/docs/"),
            ("/docs", "", "/docs"),
            ("/psa/pins", "/psa", "/pins"),
            ("/psa//pins/?a", "/psa", "/pins?a"),
            ("/psa", "/psa", "/"),
            ("/psa/docs/", "/psa", "/docs/"),
            ("/psalm/pins", "/psa", "/psalm/pins"),
            ("/pins", "/psa", "/pins"),
            ("/pins/%2f/", "", "/pins/%2f"),
        ] {
            assert_eq!(normalize(&sent.parse().unwrap(), base), meant, "{sent} under {base:?}");
        }
    }
}
