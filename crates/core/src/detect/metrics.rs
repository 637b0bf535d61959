//! The metrics lines of a dyno: its memory, and its load, which nothing needs.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::combinator::all_consuming;
use nom::sequence::terminated;

use crate::detect::{DetectError, decimal};
use crate::event::{Fact, Megabytes};
use crate::ident::{DynoRef, InstanceId};
use crate::wire::logfmt;
use crate::wire::ordered::Ordered;
use crate::wire::scan;

/// The metrics of `log-runtime-metrics` (heroku.md §3), by the names of their fields.
///
/// Each dyno writes two such lines, and the one about its load has no memory. Lines of 2015 have no quota
/// either: without it a share means nothing, so they are skipped.
pub(super) fn sample<'b>(
    dyno: DynoRef<'b>,
    procid: &[u8],
    msg: &[u8],
) -> Result<Option<Fact<DynoRef<'b>>>, DetectError> {
    let [source, instance, total, quota, swap] = match sample_in_order(msg) {
        Some(values) => values,
        None => {
            logfmt::values(msg, SAMPLE_KEYS).map_err(|logfmt::Repeated(key)| DetectError::Repeated(key))?
        }
    };
    let (Some(total), Some(quota)) = (total, quota) else { return Ok(None) };
    if source.ok_or(DetectError::Missing("source"))? != procid {
        return Err(DetectError::Disagree);
    }
    let instance = self::instance(instance.ok_or(DetectError::Missing("dyno"))?)
        .ok_or(DetectError::Unreadable("dyno="))?;
    let total = megabytes(total).ok_or(DetectError::Unreadable("sample#memory_total="))?;
    // Any use would exceed a quota of zero, so it is invalid.
    let quota = megabytes(quota)
        .filter(|quota| quota.hundredths > 0)
        .ok_or(DetectError::Unreadable("sample#memory_quota="))?;
    Ok(Some(Fact::Sample { dyno, instance, total, quota, swap: swap.and_then(megabytes) }))
}

/// The keys of a sample that something reads.
const SAMPLE_KEYS: [&str; 5] =
    ["source", "dyno", "sample#memory_total", "sample#memory_quota", "sample#memory_swap"];

/// The values of [`SAMPLE_KEYS`] in a line with all keys in the dyno manager's order, and none for any other.
fn sample_in_order(msg: &[u8]) -> Option<[Option<&[u8]>; 5]> {
    let mut text = Ordered::new(msg);
    text.tag(b"source=")?;
    let source = text.word()?;
    text.tag(b" dyno=")?;
    let instance = instance_word(&mut text)?;
    text.tag(b" sample#memory_total=")?;
    let total = text.word()?;
    text.tag(b" sample#memory_rss=")?;
    text.word()?;
    text.tag(b" sample#memory_cache=")?;
    text.word()?;
    text.tag(b" sample#memory_swap=")?;
    let swap = text.word()?;
    text.tag(b" sample#memory_pgpgin=")?;
    text.word()?;
    text.tag(b" sample#memory_pgpgout=")?;
    text.word()?;
    text.tag(b" sample#memory_quota=")?;
    let quota = text.word()?;
    text.is_at_end().then_some([Some(source), Some(instance), Some(total), Some(quota), Some(swap)])
}

/// Whether it is a line about a dyno's load, with all keys in the dyno manager's order: it has no memory.
#[inline]
pub(super) fn is_load(msg: &[u8]) -> bool {
    // The other metrics line of a dyno, about its memory, is much longer.
    if msg.len() > LOAD_OCTETS_USUAL {
        return false;
    }
    let mut text = Ordered::new(msg);
    let mut read = || {
        text.tag(b"source=")?;
        text.word()?;
        text.tag(b" dyno=")?;
        instance_word(&mut text)?;
        text.short_words::<56, 2>([b" sample#load_avg_1m=", b" sample#load_avg_5m="])?;
        text.tag(b" sample#load_avg_15m=")?;
        text.word()
    };
    read().is_some() && text.is_at_end()
}

const LOAD_OCTETS_USUAL: usize = 200;

/// `heroku.<app>.<uuid>`, or any other word.
#[inline(always)]
fn instance_word<'b>(text: &mut Ordered<'b>) -> Option<&'b [u8]> {
    let before = *text;
    let mut usual = || {
        text.tag(b"heroku.")?;
        text.digits()?;
        text.tag(b".")?;
        text.uuid()
    };
    if usual().is_some() {
        return Some(text.since(before));
    }
    *text = before;
    text.word()
}

/// The last part of `heroku.<app>.<uuid>`.
fn instance(text: &[u8]) -> Option<InstanceId> {
    let rest = text.strip_prefix(b"heroku.")?;
    let (app, uuid) = rest.split_at(scan::first(rest, [b'.']));
    let uuid = uuid.strip_prefix(b".")?;
    let has_point = match uuid.try_into() {
        Ok(uuid) => scan::contains::<36>(uuid, b'.'),
        Err(_) => uuid.contains(&b'.'),
    };
    if app.is_empty() || has_point { None } else { InstanceId::parse(uuid) }
}

/// `221.47MB`.
fn megabytes(text: &[u8]) -> Option<Megabytes> {
    if let Some(hundredths) = usual_megabytes(text) {
        return Some(Megabytes { hundredths });
    }
    let (_, hundredths) = all_consuming(terminated(decimal::<2>, tag("MB"))).parse(text).ok()?;
    Some(Megabytes { hundredths })
}

/// The hundredths in up to four digits, two decimals and `MB`, as the dyno manager writes nearly all of them.
fn usual_megabytes(text: &[u8]) -> Option<u64> {
    let [whole @ .., b'.', tenths, hundredths, b'M', b'B'] = text else { return None };
    let digits = match *whole {
        [a] => [b'0', b'0', b'0', a],
        [a, b] => [b'0', b'0', a, b],
        [a, b, c] => [b'0', a, b, c],
        [a, b, c, d] => [a, b, c, d],
        _ => return None,
    };
    let [a, b, c, d, e, f] = [digits[0], digits[1], digits[2], digits[3], *tenths, *hundredths]
        .map(|digit| digit.wrapping_sub(b'0'));
    let are_digits = (a <= 9) & (b <= 9) & (c <= 9) & (d <= 9) & (e <= 9) & (f <= 9);
    let value = [a, b, c, d, e, f].iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    are_digits.then_some(value.into())
}
