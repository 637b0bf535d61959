//! Half an hour of an app's requests in a few bytes.
//!
//! ```text
//! window   = version endpoints dynos
//! endpoints = count (method kept length bytes)*     kept: the bytes that it shares with the one before
//! dynos    = count (length type index counts (number requests)*)*
//! ```
//!
//! Numbers are varints. Half an hour of four dynos and thirty endpoints takes about 900 bytes.

use std::sync::Arc;

use crate::days::evidence::counts::{Counts, Endpoint, WindowCounts};
use crate::days::evidence::method::Method;
use crate::days::evidence::templates::is_template;
use crate::days::pack::{PackError, put, take, take_byte};
use crate::ident::{DynoName, ProcessType};
use crate::limits;

const VERSION: u8 = 1;

/// Packs a window, without its number.
pub fn pack(counts: &WindowCounts) -> Vec<u8> {
    let mut out = vec![VERSION];
    put(counts.endpoints.len() as u64, &mut out);
    let mut last: &str = "";
    for endpoint in &counts.endpoints {
        let text = &*endpoint.template;
        let shared = text.bytes().zip(last.bytes()).take_while(|(left, right)| left == right).count();
        out.push(endpoint.method as u8);
        put(shared as u64, &mut out);
        put((text.len() - shared) as u64, &mut out);
        out.extend(&text.as_bytes()[shared..]);
        last = text;
    }
    put(counts.dynos.len() as u64, &mut out);
    for (dyno, counts) in &counts.dynos {
        let process_type = dyno.process_type().as_str();
        put(process_type.len() as u64, &mut out);
        out.extend(process_type.as_bytes());
        put(dyno.index().into(), &mut out);
        put(counts.len() as u64, &mut out);
        for (number, count) in counts {
            put((*number).into(), &mut out);
            put((*count).into(), &mut out);
        }
    }
    out
}

/// Unpacks a window.
///
/// # Errors
/// The bytes are damaged, or of another version.
pub fn unpack(window: i64, bytes: &[u8]) -> Result<WindowCounts, PackError> {
    let mut rest = bytes;
    if take_byte(&mut rest)? != VERSION {
        return Err(PackError);
    }
    let count = bounded(&mut rest, limits::ENDPOINTS_MAX)?;
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(count);
    for _ in 0..count {
        let method = *Method::ALL.get(usize::from(take_byte(&mut rest)?)).ok_or(PackError)?;
        let last = endpoints.last().map_or("", |last| &*last.template);
        let shared: usize = take(&mut rest)?;
        let own: usize = take(&mut rest)?;
        let shared = last.get(..shared).ok_or(PackError)?;
        let template = format!("{shared}{}", text(&mut rest, own)?);
        // Only a template can ever be shown.
        if !is_template(&template) {
            return Err(PackError);
        }
        endpoints.push(Endpoint { method, template: Arc::from(template) });
    }
    let count = bounded(&mut rest, limits::EVIDENCE_DYNOS_MAX)?;
    let dynos = (0..count).map(|_| dyno(&mut rest, endpoints.len())).collect::<Result<_, _>>()?;
    if rest.is_empty() { Ok(WindowCounts { window, endpoints, dynos }) } else { Err(PackError) }
}

fn dyno(rest: &mut &[u8], endpoints: usize) -> Result<(DynoName, Counts), PackError> {
    let length = bounded(rest, limits::NAME_BYTES_MAX)?;
    let process_type: ProcessType = text(rest, length)?.parse().map_err(|_| PackError)?;
    let name = DynoName::new(process_type, take(rest)?);
    let count = bounded(rest, limits::ENDPOINTS_MAX)?;
    let mut counts = Counts::with_capacity(count);
    for _ in 0..count {
        let number: u16 = take(rest)?;
        if usize::from(number) > endpoints {
            return Err(PackError);
        }
        counts.push((number, take(rest)?));
    }
    Ok((name, counts))
}

fn bounded(rest: &mut &[u8], max: usize) -> Result<usize, PackError> {
    take(rest).and_then(|count| if count <= max { Ok(count) } else { Err(PackError) })
}

fn text<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b str, PackError> {
    let (text, tail) = rest.split_at_checked(length).ok_or(PackError)?;
    *rest = tail;
    str::from_utf8(text).map_err(|_| PackError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{pack, unpack};
    use crate::days::evidence::counts::{Endpoint, WindowCounts};
    use crate::days::evidence::method::Method;
    use crate::days::pack::PackError;

    fn usual() -> WindowCounts {
        let endpoint = |number: u32| Endpoint {
            method: Method::ALL[number as usize % 5],
            template: format!("/api/v1/{}/:id", ["orders", "users", "items", "carts"][number as usize % 4])
                .into(),
        };
        let counts = |_| (0..=30).map(|number| (number, 90 + u32::from(number))).collect();
        let dyno = |index| format!("web.{index}").parse().expect("a dyno");
        let dynos = (1..=4).map(|index| (dyno(index), counts(index))).collect();
        WindowCounts { window: 983_040, endpoints: (0..30).map(endpoint).collect(), dynos }
    }

    #[test]
    fn half_an_hour_takes_a_few_hundred_bytes() {
        let packed = pack(&usual());
        assert!(packed.len() < 900, "{}", packed.len());
        assert_eq!(unpack(983_040, &packed), Ok(usual()));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let packed = pack(&usual());
        for length in 0..packed.len() {
            assert_eq!(unpack(0, &packed[..length]), Err(PackError), "{length}");
        }
        assert_eq!(unpack(0, &[&packed[..], &[0]].concat()), Err(PackError));
    }

    #[test]
    fn text_that_is_no_template_is_refused() {
        for template in
            ["/orders/8812", "/reset/s3cr3tT0k3n", "orders", "/a?b=c", "/:other", "//", "/a/b/c/d/e/f/g"]
        {
            let endpoints = vec![Endpoint { method: Method::Get, template: template.into() }];
            let packed = pack(&WindowCounts { endpoints, ..WindowCounts::default() });
            assert_eq!(unpack(0, &packed), Err(PackError), "{template}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_window_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(counts) = unpack(7, &bytes) {
                assert_eq!(unpack(7, &pack(&counts)), Ok(counts));
            }
        }
    }
}
