//! `greenlight explain`: what an error code means and what to do.

use serde_json::json;

use crate::failure::Failure;

const PAGES: [(&str, &str, &str); 8] = [
    ("GL0001", "Say who you are", include_str!("../../help/GL0001.md")),
    ("GL0002", "Not allowed", include_str!("../../help/GL0002.md")),
    ("GL0003", "Not found", include_str!("../../help/GL0003.md")),
    ("GL0004", "The request cannot be right", include_str!("../../help/GL0004.md")),
    ("GL0005", "The present state does not allow it", include_str!("../../help/GL0005.md")),
    ("GL0006", "Try again later", include_str!("../../help/GL0006.md")),
    ("GL0007", "Something went wrong in the server", include_str!("../../help/GL0007.md")),
    ("GL0008", "Ask more slowly", include_str!("../../help/GL0008.md")),
];

/// Prints the help page of `code`, or the list.
pub(crate) fn explain(code: Option<&str>, json: bool) -> Result<(), Failure> {
    let Some(code) = code else {
        if json {
            println!("{}", json!(PAGES.map(|p| json!({ "code": p.0, "title": p.1 }))));
        } else {
            for (code, title, _) in PAGES {
                println!("{code}  {title}");
            }
        }
        return Ok(());
    };
    let page = PAGES.iter().find(|p| p.0.eq_ignore_ascii_case(code)).ok_or_else(|| {
        let codes: Vec<&str> = PAGES.iter().map(|p| p.0).collect();
        Failure::Input(format!("'{code}' is not an error code; there are {}", codes.join(", ")))
    })?;
    if json {
        println!("{}", json!({ "code": page.0, "title": page.1, "text": page.2 }));
    } else {
        println!("{}: {}\n\n{}", page.0, page.1, page.2.trim_end());
    }
    Ok(())
}
