//! Forms of text fields, as regular expressions that mean the same to the API server (RE2) and here: no `\s`, which
//! differs, and no look-around.

/// A DNS label, without its limit of 63 characters.
pub const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// DNS labels joined by dots, without their limit of 253 characters.
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A header name.
pub const HEADER: &str = "^[A-Za-z0-9_-]+$";
/// A model's name, also of a fine-tuned or hosted one.
pub const MODEL: &str = "^[A-Za-z0-9._:/@-]+$";
/// A model's name in which `*` matches any run.
pub const MODEL_GLOB: &str = "^[A-Za-z0-9._:/@*-]+$";
/// Something besides white space.
pub const NOT_BLANK: &str = r"[^\t-\r \x{85}\p{Z}]";
/// A tag with placeholders; `*`, which only patterns have, and the comma, which separates tags in a header, are no text.
pub const TAG: &str = r"^([^{}*,\t-\r \x{85}\p{Z}]|\{(user|model|class|header:[A-Za-z0-9_-]{1,64})\})+$";
/// A pattern over tags.
pub const TAG_PATTERN: &str = r"^[^{},\t-\r \x{85}\p{Z}]+$";
/// An address without credentials, query and fragment.
pub const URL: &str = r"^https?://[^\t-\r /?#@]+(/[^\t-\r ?#]*)?$";

/// What a form takes, in words; absent for a pattern that is none of these.
pub fn words(pattern: &str) -> Option<&'static str> {
    Some(match pattern {
        LABEL => "lower-case letters, digits and inner hyphens",
        SUBDOMAIN => "lower-case letters, digits, inner hyphens and dots",
        HEADER => "letters, digits, - and _",
        MODEL => "letters, digits and . _ : / @ -",
        MODEL_GLOB => "letters, digits and . _ : / @ - *",
        NOT_BLANK => "not only white space",
        TAG => "text without white space, comma and *, with {user}, {model}, {class} and {header:NAME}",
        TAG_PATTERN => "text without white space, comma and braces",
        URL => "an http or https address without credentials, query and fragment",
        _ => return None,
    })
}
