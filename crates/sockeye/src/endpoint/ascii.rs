//! Host names beyond ASCII, as name servers and certificates know them: `例え.jp` is `xn--r8jz45g.jp`.

use std::borrow::Cow;

use idna::AsciiDenyList;

use crate::error::{Class, Error, Result};

/// The name in ASCII by the rules of UTS #46 (IDNA, [RFC 5891](https://www.rfc-editor.org/rfc/rfc5891)). One that is
/// ASCII already stays as it is, for the resolver to judge.
///
/// # Errors
/// [`Class::Address`] when it breaks the rules.
pub(crate) fn ascii_name(name: &str) -> Result<Cow<'_, str>> {
    if name.is_ascii() {
        return Ok(name.into());
    }
    idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::EMPTY).map_err(|_| {
        let error = Error::new("resolve", Class::Address, "it breaks the rules for host names");
        let error = error.at(name.escape_debug());
        error.advise("check its spelling, or write it in its ASCII form, which begins with xn--")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_form_that_is_looked_up() {
        for (name, ascii) in [
            ("localhost", "localhost"),
            ("A_b..c", "A_b..c"),
            ("例え.jp", "xn--r8jz45g.jp"),
            ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
            ("中国。cn", "xn--fiqs8s.cn"),
        ] {
            assert_eq!(ascii_name(name).expect(name), ascii);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["\u{301}a.de", "xn--é"] {
            let error = ascii_name(name).expect_err(name);
            assert_eq!(error.class(), Class::Address);
            assert!(error.to_string().contains("xn--"), "{error}");
        }
    }
}
