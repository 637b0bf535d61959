//! Hours of one dyno in a few bytes.
//!
//! ```text
//! hour  = 1 steps
//! block = 2 hours(1, one bit an hour) steps*
//! steps = present(2, one bit a step) step*
//! step  = flags [samples] [mean spread-below spread-above] [quota] [requests] [errors not-served] [mean-ms]
//!         [over] [marks (kind second value)*]
//! ```
//!
//! Numbers are varints of seven bits a byte, the lowest first; the mean of memory is the difference from the
//! previous one, and the number of samples is left out if it is the previous one's. In a block, the previous
//! step may be one of the hour before. An hour with memory and traffic takes about a hundred bytes.

use crate::codes::{Code, Family};
use crate::days::hour::OpenHour;
use crate::days::step::{Mark, MarkKind, STEPS_PER_HOUR, Step};
use crate::limits;

/// The steps of one hour, by their place in it.
pub type Hour = [Option<Step>; STEPS_PER_HOUR as usize];

/// Hours in a block.
pub const HOURS_PER_BLOCK: i64 = 4;

/// Hours that follow each other, by their place among them.
pub type Block = [Hour; HOURS_PER_BLOCK as usize];

const HOUR: u8 = 1;
const BLOCK: u8 = 2;

const MEMORY: u8 = 1;
const QUOTA: u8 = 1 << 1;
const REQUESTS: u8 = 1 << 2;
const ERRORS: u8 = 1 << 3;
const SERVED: u8 = 1 << 4;
const OVER: u8 = 1 << 5;
const MARKS: u8 = 1 << 6;
const SAMPLES: u8 = 1 << 7;

/// Bytes that are not an hour of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an hour of a series")]
pub struct PackError;

/// Packs an hour.
pub fn pack(hour: &Hour) -> Vec<u8> {
    let mut out = vec![HOUR];
    pack_steps(steps_of(hour), &mut Last::default(), &mut out);
    out
}

/// Packs an hour that is being filled.
pub fn pack_open(hour: &OpenHour) -> Vec<u8> {
    let mut out = vec![HOUR];
    pack_steps(hour.steps(), &mut Last::default(), &mut out);
    out
}

/// Packs a block.
pub fn pack_block(block: &Block) -> Vec<u8> {
    let present = (0..).zip(block).filter(|(_, hour)| !is_empty(hour));
    let present: u8 = present.map(|(place, _): (u8, _)| 1 << place).sum();
    let mut out = vec![BLOCK, present];
    let mut last = Last::default();
    for hour in block.iter().filter(|hour| !is_empty(hour)) {
        pack_steps(steps_of(hour), &mut last, &mut out);
    }
    out
}

/// Unpacks an hour.
///
/// # Errors
/// The bytes are damaged, or of another version.
pub fn unpack(bytes: &[u8]) -> Result<Hour, PackError> {
    let (&HOUR, mut rest) = bytes.split_first().ok_or(PackError)? else { return Err(PackError) };
    let hour = unpack_steps(&mut rest, &mut Last::default())?;
    if rest.is_empty() { Ok(hour) } else { Err(PackError) }
}

/// Unpacks a block.
///
/// # Errors
/// The bytes are damaged, or of another version.
pub fn unpack_block(bytes: &[u8]) -> Result<Block, PackError> {
    let (&[BLOCK, present], mut rest) = bytes.split_first_chunk().ok_or(PackError)? else {
        return Err(PackError);
    };
    if present >> HOURS_PER_BLOCK != 0 {
        return Err(PackError);
    }
    let mut block = Block::default();
    let mut last = Last::default();
    for (place, hour) in block.iter_mut().enumerate() {
        if present & (1 << place) != 0 {
            *hour = unpack_steps(&mut rest, &mut last)?;
        }
    }
    if rest.is_empty() { Ok(block) } else { Err(PackError) }
}

fn is_empty(hour: &Hour) -> bool {
    hour.iter().all(Option::is_none)
}

/// The values of the step before, which the next one mostly repeats.
#[derive(Default)]
struct Last {
    mean: u32,
    quota: u32,
    samples: u32,
}

/// The steps of an hour that are present, with their places.
fn steps_of(hour: &Hour) -> impl Iterator<Item = (usize, &Step)> {
    hour.iter().enumerate().filter_map(|(place, step)| Some((place, step.as_ref()?)))
}

fn pack_steps<'s>(steps: impl Iterator<Item = (usize, &'s Step)>, last: &mut Last, out: &mut Vec<u8>) {
    let head = out.len();
    let mut present = 0_u16;
    out.extend(present.to_le_bytes());
    for (place, step) in steps {
        present |= 1 << place;
        pack_step(step, last, out);
    }
    out[head..head + 2].copy_from_slice(&present.to_le_bytes());
}

fn unpack_steps(rest: &mut &[u8], last: &mut Last) -> Result<Hour, PackError> {
    let (&[low, high], tail) = rest.split_first_chunk().ok_or(PackError)?;
    *rest = tail;
    let present = u16::from_le_bytes([low, high]);
    if present >> STEPS_PER_HOUR != 0 {
        return Err(PackError);
    }
    let mut hour = Hour::default();
    for (place, slot) in hour.iter_mut().enumerate() {
        if present & (1 << place) != 0 {
            *slot = Some(unpack_step(rest, last)?);
        }
    }
    Ok(hour)
}

fn pack_step(step: &Step, last: &mut Last, out: &mut Vec<u8>) {
    let mean = step.memory_mean();
    let service_ms = step.service_ms();
    let unserved = step.requests.saturating_sub(step.served);
    let has_other_samples = mean.is_some() && step.samples != last.samples;
    let flags = [
        (MEMORY, mean.is_some()),
        (QUOTA, step.quota != last.quota),
        (REQUESTS, step.requests > 0),
        (ERRORS, step.errors > 0 || unserved > 0),
        (SERVED, service_ms.is_some()),
        (OVER, step.over > 0),
        (MARKS, !step.marks().is_empty()),
        (SAMPLES, has_other_samples),
    ];
    out.push(flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum());
    if let Some(mean) = mean {
        if has_other_samples {
            put(step.samples.into(), out);
            last.samples = step.samples;
        }
        put(zigzag(i64::from(mean) - i64::from(last.mean)), out);
        put(mean.saturating_sub(step.memory_low).into(), out);
        put(step.memory_high.saturating_sub(mean).into(), out);
        last.mean = mean;
    }
    if step.quota != last.quota {
        put(step.quota.into(), out);
        last.quota = step.quota;
    }
    if step.requests > 0 {
        put(step.requests.into(), out);
    }
    if step.errors > 0 || unserved > 0 {
        put(step.errors.into(), out);
        put(unserved.into(), out);
    }
    if let Some(service_ms) = service_ms {
        put(service_ms.into(), out);
    }
    if step.over > 0 {
        put(step.over.into(), out);
    }
    if !step.marks().is_empty() {
        put(step.marks().len() as u64, out);
        step.marks().iter().for_each(|mark| pack_mark(mark, out));
    }
}

fn unpack_step(rest: &mut &[u8], last: &mut Last) -> Result<Step, PackError> {
    let flags = take_byte(rest)?;
    let has = |flag| flags & flag != 0;
    let mut step = Step::default();
    if has(MEMORY) {
        if has(SAMPLES) {
            last.samples = take(rest)?;
        }
        if last.samples == 0 {
            return Err(PackError);
        }
        step.samples = last.samples;
        let mean = i64::from(last.mean).checked_add(unzigzag(take_long(rest)?)).ok_or(PackError)?;
        let mean = u32::try_from(mean).map_err(|_| PackError)?;
        step.memory_low = mean.checked_sub(take(rest)?).ok_or(PackError)?;
        step.memory_high = mean.checked_add(take(rest)?).ok_or(PackError)?;
        step.memory_sum = u64::from(mean) * u64::from(step.samples);
        last.mean = mean;
    }
    if has(QUOTA) {
        last.quota = take(rest)?;
    }
    step.quota = last.quota;
    if has(REQUESTS) {
        step.requests = take(rest)?;
    }
    step.served = step.requests;
    if has(ERRORS) {
        step.errors = take(rest)?;
        step.served = step.requests.checked_sub(take(rest)?).ok_or(PackError)?;
    }
    if has(SERVED) {
        step.service_ms_sum = u64::from(take::<u32>(rest)?) * u64::from(step.served);
    }
    if has(OVER) {
        step.over = take(rest)?;
    }
    if has(MARKS) {
        let count: usize = take(rest)?;
        if !(1..=limits::STEP_MARKS_MAX).contains(&count) {
            return Err(PackError);
        }
        let marks = (0..count).map(|_| unpack_mark(rest)).collect::<Result<_, _>>()?;
        step.marks = Some(Box::new(marks));
    }
    Ok(step)
}

fn pack_mark(mark: &Mark, out: &mut Vec<u8>) {
    let (kind, value) = match mark.kind {
        MarkKind::Crashed => (0, None),
        MarkKind::Cycling => (1, None),
        MarkKind::Down => (2, None),
        MarkKind::Error(code) => {
            let kind = match code.family() {
                Family::H => 3,
                Family::L => 4,
                Family::R => 5,
            };
            (kind, Some(code.number().into()))
        }
        MarkKind::Instance => (6, None),
        MarkKind::Killed => (7, None),
        MarkKind::Over => (8, None),
        MarkKind::Release(version) => (9, Some(version)),
        MarkKind::Restarting => (10, None),
        MarkKind::Starting => (11, None),
        MarkKind::Up => (12, None),
    };
    out.push(kind);
    put(mark.second.into(), out);
    if let Some(value) = value {
        put(value, out);
    }
}

fn unpack_mark(rest: &mut &[u8]) -> Result<Mark, PackError> {
    let kind = take_byte(rest)?;
    let second = take(rest)?;
    let mut code = |family| -> Result<MarkKind, PackError> {
        Ok(MarkKind::Error(Code::find(family, take(rest)?).ok_or(PackError)?))
    };
    let kind = match kind {
        0 => MarkKind::Crashed,
        1 => MarkKind::Cycling,
        2 => MarkKind::Down,
        3 => code(Family::H)?,
        4 => code(Family::L)?,
        5 => code(Family::R)?,
        6 => MarkKind::Instance,
        7 => MarkKind::Killed,
        8 => MarkKind::Over,
        9 => MarkKind::Release(take_long(rest)?),
        10 => MarkKind::Restarting,
        11 => MarkKind::Starting,
        12 => MarkKind::Up,
        _ => return Err(PackError),
    };
    Ok(Mark { second, kind })
}

// === varints ===

pub(super) fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn take_byte(rest: &mut &[u8]) -> Result<u8, PackError> {
    let (&first, tail) = rest.split_first().ok_or(PackError)?;
    *rest = tail;
    Ok(first)
}

pub(super) fn take_long(rest: &mut &[u8]) -> Result<u64, PackError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(rest)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(PackError)?;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(PackError)
}

pub(super) fn take<T: TryFrom<u64>>(rest: &mut &[u8]) -> Result<T, PackError> {
    T::try_from(take_long(rest)?).map_err(|_| PackError)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Block, Hour, PackError, pack, pack_block, unpack, unpack_block};
    use crate::codes::Code;
    use crate::days::step::{Mark, MarkKind, Step};

    fn usual(place: u32) -> Step {
        let mean = 3900 + place * 7;
        Step {
            memory_sum: u64::from(mean) * 14,
            service_ms_sum: 120 * 900,
            memory_low: mean - 25,
            memory_high: mean + 31,
            samples: 14,
            quota: 5120,
            requests: 900,
            errors: 1,
            served: 900,
            over: 0,
            marks: None,
        }
    }

    #[test]
    fn an_hour_of_a_busy_dyno_takes_about_a_hundred_bytes() {
        let hour: Hour = std::array::from_fn(|place| Some(usual(place as u32)));
        let packed = pack(&hour);
        assert!(packed.len() < 140, "{}", packed.len());
        assert_eq!(unpack(&packed), Ok(hour));
        assert_eq!(pack(&Hour::default()).len(), 3);
    }

    #[test]
    fn a_block_is_smaller_than_its_hours() {
        let hour: Hour = std::array::from_fn(|place| Some(usual(place as u32)));
        let mut block: Block = std::array::from_fn(|_| hour.clone());
        let packed = pack_block(&block);
        assert!(packed.len() < 4 * pack(&hour).len(), "{}", packed.len());
        assert_eq!(unpack_block(&packed), Ok(block.clone()));
        for length in 0..packed.len() {
            assert_eq!(unpack_block(&packed[..length]), Err(PackError), "{length}");
        }
        (block[0], block[2]) = Default::default();
        assert_eq!(unpack_block(&pack_block(&block)), Ok(block));
        assert_eq!(pack_block(&Block::default()), [2, 0]);
        assert_eq!(unpack_block(&[2, 0x10]), Err(PackError));
        // Neither is read as the other.
        assert_eq!(unpack(&packed), Err(PackError));
        assert_eq!(unpack_block(&pack(&hour)), Err(PackError));
    }

    #[test]
    fn marks_are_kept() {
        let kinds = [
            MarkKind::Crashed,
            MarkKind::Cycling,
            MarkKind::Down,
            MarkKind::Error(Code::R14),
            MarkKind::Error(Code::H12),
            MarkKind::Instance,
            MarkKind::Killed,
            MarkKind::Over,
            MarkKind::Release(214),
            MarkKind::Restarting,
            MarkKind::Starting,
            MarkKind::Up,
        ];
        let marks = (0..).map(|second| 299 - second).zip(kinds).map(|(second, kind)| Mark { second, kind });
        let mut hour = Hour::default();
        hour[11] = Some(Step { marks: Some(Box::new(marks.collect())), ..Step::default() });
        assert_eq!(unpack(&pack(&hour)), Ok(hour));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let hour: Hour = std::array::from_fn(|place| Some(usual(place as u32)));
        let packed = pack(&hour);
        for length in 0..packed.len() {
            assert_eq!(unpack(&packed[..length]), Err(PackError), "{length}");
        }
        let mut longer = packed.clone();
        longer.push(0);
        assert_eq!(unpack(&longer), Err(PackError));
        assert_eq!(unpack(&[2, 0, 0]), Err(PackError));
        assert_eq!(unpack(&[1, 0, 0x10]), Err(PackError));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_hour_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(hour) = unpack(&bytes) {
                assert_eq!(unpack(&pack(&hour)), Ok(hour));
            }
            if let Ok(block) = unpack_block(&bytes) {
                assert_eq!(unpack_block(&pack_block(&block)), Ok(block));
            }
        }

        #[test]
        fn counts_of_any_size_are_kept(
            requests in any::<u32>(), mean in any::<u32>(), quota in any::<u32>(),
        ) {
            let mut hour = Hour::default();
            hour[3] = Some(Step {
                requests,
                quota,
                memory_sum: u64::from(mean) * 3,
                memory_low: mean / 2,
                memory_high: mean,
                samples: 3,
                ..Step::default()
            });
            assert_eq!(unpack(&pack(&hour)), Ok(hour));
        }
    }
}
