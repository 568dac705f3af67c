//! Places that clients name for artifacts, and which of them this server would connect to.

use crate::AppError;

/// Schemes that name a host: to follow one would let whoever may log choose whom this server calls.
const HOSTS: [&str; 9] = ["ftp", "sftp", "hdfs", "viewfs", "http", "https", "r2", "b2", "abfss"];

/// The scheme of a URI in lower case; none for a plain path.
pub(crate) fn scheme(uri: &str) -> Option<String> {
    let (scheme, _) = uri.split_once(':')?;
    let mut letters = scheme.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (begins && rest).then(|| scheme.to_ascii_lowercase())
}

/// What stands behind the scheme: the host, which may be absent, and the path.
pub(crate) fn authority_and_path(uri: &str) -> (Option<&str>, &str) {
    let rest = match scheme(uri) {
        Some(scheme) => &uri[scheme.len() + 1..],
        None => uri,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.strip_prefix("//") {
        Some(behind) => {
            let end = behind.find('/').unwrap_or(behind.len());
            (Some(&behind[..end]).filter(|host| !host.is_empty()), &behind[end..])
        }
        None => (None, rest),
    }
}

/// Refuses a URI that names a host for this server to connect to.
pub(crate) fn check_host(field: &str, uri: &str) -> Result<(), AppError> {
    let Some(scheme) = scheme(uri) else { return Ok(()) };
    let names_a_host = match scheme.as_str() {
        "mlflow-artifacts" => authority_and_path(uri).0.is_some(),
        other => HOSTS.contains(&other),
    };
    if !names_a_host {
        return Ok(());
    }
    Err(AppError::Invalid(format!(
        "'{field}' cannot use the '{scheme}' scheme: the '{scheme}' scheme addresses a host other than the tracking \
         server's configured artifact storage, so the server would connect to the host named in the URI."
    )))
}

/// A path below a place that is one: no `..`, nothing absolute, no backslash, no control character, also behind percent
/// signs. The parts are what is looked up.
pub(crate) fn below(path: &str) -> Result<Vec<String>, AppError> {
    let invalid = || AppError::Invalid("Invalid path".to_owned());
    let mut decoded = path.to_owned();
    // Each round takes one layer of percent signs off; nobody needs more layers than that.
    for round in 0.. {
        let next = percent_decoded(&decoded).ok_or_else(invalid)?;
        if next == decoded {
            break;
        }
        if round == 10 {
            return Err(invalid());
        }
        decoded = next;
    }
    let bad = |c: char| c.is_control() || matches!(c, '\\' | '#');
    if decoded.starts_with('/') || decoded.contains(bad) || scheme(&decoded).is_some_and(|s| s == "file") {
        return Err(invalid());
    }
    let bytes = decoded.as_bytes();
    if bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return Err(invalid());
    }
    let mut parts = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(invalid()),
            part => parts.push(part.to_owned()),
        }
    }
    Ok(parts)
}

/// With every `%XX` as its byte; none when that is not UTF-8. What is no such sequence stays as it is.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|two| str::from_utf8(two).ok());
        let byte =
            digits.filter(|two| !two.starts_with('+')).and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_hosts() {
        assert_eq!(scheme("S3://b/p").as_deref(), Some("s3"));
        assert_eq!((scheme("/a:b"), scheme("a/b:c"), scheme("1:2")), (None, None, None));
        assert_eq!(authority_and_path("mlflow-artifacts://host:1/a"), (Some("host:1"), "/a"));
        assert_eq!(authority_and_path("mlflow-artifacts:/a?x"), (None, "/a"));
        for bad in ["http://10.0.0.1/x", "HTTPS://h", "mlflow-artifacts://h/x", "hdfs:/x"] {
            assert!(check_host("source", bad).is_err(), "{bad}");
        }
        for good in ["s3://b/x", "mlflow-artifacts:/1", "/tmp/x", "runs:/a/b"] {
            assert!(check_host("source", good).is_ok(), "{good}");
        }
    }

    /// Paths of CVE-2023-1177, CVE-2023-6831, CVE-2024-1483, CVE-2024-2928 and CVE-2024-3848, and their relatives.
    #[test]
    fn a_path_never_leaves_its_place() {
        for bad in [
            "../etc/passwd",
            "a/../../b",
            "/etc/passwd",
            "%2e%2e/etc/passwd",
            "%2E%2E%2Fetc%2Fpasswd",
            "%252e%252e%252fetc/passwd",
            "%25%32%65%25%32%65/x",
            "a/%2e%2e/b",
            "..%5c..%5cx",
            "a\\b",
            "C:/x",
            "C:\\x",
            "file:///etc/passwd",
            "#/../x",
            "a%23/../../x",
            "%00",
            "a\nb",
            "%ff",
            "//host/share",
        ] {
            assert!(below(bad).is_err(), "{bad}");
        }
        assert_eq!(below("a//b/./c d").unwrap(), ["a", "b", "c d"]);
        assert_eq!(below("a%20b").unwrap(), ["a b"]);
        assert_eq!(below("100%").unwrap(), ["100%"]);
        assert!(below("").unwrap().is_empty());
        assert_eq!(below("..a/b..").unwrap(), ["..a", "b.."]);
    }
}
