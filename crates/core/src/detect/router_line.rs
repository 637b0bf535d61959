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
#[inline(always)]
pub(super) fn in_order(msg: &[u8]) -> Option<RouterLine<'_>> {
    let mut text = Ordered::new(msg);
    let (at, code, method) = match text.short_words::<23, 1>([b"at=info method="]) {
        Some([method]) => (&b"info"[..], None, method),
        None => {
            let (opening, behind) = opening(text)?;
            text = behind;
            opening
        }
    };
    text.tag(b" path=\"")?;
    let path = text.quoted()?;
    text.tag(b"\" host=")?;
    text.long_word()?;
    text.tag(b" request_id=")?;
    let before = text;
    if text.uuid().is_none() {
        text = before;
        text.word()?;
    }
    text.tag(b" fwd=\"")?;
    text.quoted()?;
    let [dyno, _connect, service, status] =
        text.short_words::<65, 4>([b"\" dyno=", b" connect=", b" service=", b" status="])?;
    if text.short_words::<15, 1>([b" bytes="]).is_none() {
        text.tag(b" bytes=")?;
        text.word()?;
    }
    ending(text)?;
    Some(RouterLine { at, code, method, path, dyno, service, status })
}

/// `at=error code=H12 desc="Request timeout" method=GET`, perhaps with `sock=` and `cause=`.
#[cold]
fn opening(mut text: Ordered<'_>) -> Option<(Opening<'_>, Ordered<'_>)> {
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
            text.tag(b"\"")?;
        }
    }
    text.tag(b" method=")?;
    let method = text.word()?;
    Some(((at, code, method), text))
}

/// The values of `at=`, `code=` and `method=`.
type Opening<'b> = (&'b [u8], Option<&'b [u8]>, &'b [u8]);

/// `protocol=http1.1 tls=true tls_version=tls1.3`; the last two are missing in lines before 2024, and all of
/// them in the oldest.
#[inline(always)]
fn ending(mut text: Ordered<'_>) -> Option<()> {
    // In two pieces, because the compiler calls a function for a longer one.
    let mut usual = text;
    if usual.tag(b" protocol=http1.1 tls=true").is_some() && usual.is(b" tls_version=tls1.3") {
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
