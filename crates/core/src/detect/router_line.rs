//! A router line in the router's own key order (heroku.md §2.3).

use crate::wire::ordered::Ordered;

/// The values of a router line that something reads. Each key is in the line once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouterLine<'b> {
    pub(super) at: &'b [u8],
    pub(super) code: Option<&'b [u8]>,
    pub(super) method: &'b [u8],
    /// Inside its quotes.
    pub(super) path: &'b [u8],
    pub(super) dyno: &'b [u8],
    pub(super) service: &'b [u8],
    pub(super) status: &'b [u8],
}

/// Reads a line that has all of its keys in the usual order, and none for any other.
#[inline]
pub(super) fn in_order(msg: &[u8]) -> Option<RouterLine<'_>> {
    let mut text = Ordered::new(msg);
    let (at, code) =
        if text.tag(b"at=info method=").is_some() { (&b"info"[..], None) } else { opening(&mut text)? };
    let method = text.short_word()?;
    text.tag(b" path=\"")?;
    let path = text.quoted()?;
    text.tag(b" host=")?;
    text.word()?;
    text.tag(b" request_id=")?;
    let before = text;
    if text.uuid().is_none() {
        text = before;
        text.word()?;
    }
    text.tag(b" fwd=\"")?;
    text.quoted()?;
    text.tag(b" dyno=")?;
    let dyno = text.short_word()?;
    text.tag(b" connect=")?;
    text.short_word()?;
    text.tag(b" service=")?;
    let service = text.short_word()?;
    text.tag(b" status=")?;
    let status = text.short_word()?;
    text.tag(b" bytes=")?;
    text.short_word()?;
    ending(text)?;
    Some(RouterLine { at, code, method, path, dyno, service, status })
}

/// `at=error code=H12 desc="Request timeout" method=`, perhaps with `sock=` and `cause=`.
#[cold]
fn opening<'b>(text: &mut Ordered<'b>) -> Option<(&'b [u8], Option<&'b [u8]>)> {
    if text.tag(b"sock=").is_some() {
        text.word()?;
        text.tag(b" ")?;
    }
    text.tag(b"at=")?;
    let at = text.word()?;
    let code = match text.tag(b" code=") {
        Some(()) => Some(text.word()?),
        None => None,
    };
    for key in [&b" desc=\""[..], b" cause=\""] {
        if text.tag(key).is_some() {
            text.quoted()?;
        }
    }
    text.tag(b" method=")?;
    Some((at, code))
}

/// `protocol=http1.1 tls=true tls_version=tls1.3`; the last two are missing in lines before 2024, and all of
/// them in the oldest.
#[inline(always)]
fn ending(mut text: Ordered<'_>) -> Option<()> {
    if text.is(b" protocol=http1.1 tls=true tls_version=tls1.3") {
        return Some(());
    }
    for key in [&b" protocol="[..], b" tls=", b" tls_version="] {
        if text.is_at_end() {
            return Some(());
        }
        text.tag(key)?;
        text.word()?;
    }
    text.is_at_end().then_some(())
}
