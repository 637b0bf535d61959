//! The dyno size that would do: the first one on which a process would live past the daily restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::json::Garbled;

/// One of `GET /dyno-sizes`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct DynoSize {
    pub name: String,
    /// In gigabytes.
    pub memory: f64,
    #[serde(default)]
    pub cost: Option<Cost>,
    #[serde(default)]
    generation: Value,
    #[serde(default)]
    pub private_space_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub cents: i64,
    pub unit: String,
}

/// Where an app's dynos run, which decides on the sizes that it can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenancy {
    pub is_fir: bool,
    pub in_space: bool,
    /// The present size of each process type, such as `Standard-1X`.
    pub sizes: BTreeMap<String, String>,
}

/// A size to move to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RightSize {
    pub size: String,
    pub memory_mb: u64,
    /// Per dyno.
    pub cost_difference: Option<Cost>,
}

/// Reads `GET /dyno-sizes`. An entry of another shape is left out: a new kind of size must not hide the
/// others.
///
/// # Errors
/// Not a list.
pub fn dyno_sizes(body: &[u8]) -> Result<Vec<DynoSize>, Garbled> {
    let entries: Vec<Value> = serde_json::from_slice(body)?;
    let sizes = entries.into_iter().filter_map(|entry| serde_json::from_value::<DynoSize>(entry).ok());
    Ok(sizes.filter(|size| size.memory.is_finite() && size.memory > 0.0).collect())
}

/// The smallest size above the present one that `lasts`, asked by megabytes. None if no size does, or if the
/// present size, with a quota of `quota_mb`, is not among those that the app can have.
pub fn right_size(
    sizes: &[DynoSize],
    tenancy: &Tenancy,
    (process_type, quota_mb): (&str, f64),
    lasts: impl Fn(f64) -> bool,
) -> Option<RightSize> {
    let mut eligible: Vec<&DynoSize> = sizes.iter().filter(|size| size.fits(tenancy)).collect();
    eligible.sort_by(|left, right| {
        let cents = |size: &DynoSize| size.cost.as_ref().map_or(i64::MAX, |cost| cost.cents);
        left.memory.total_cmp(&right.memory).then(cents(left).cmp(&cents(right)))
    });
    let name = tenancy.sizes.get(process_type).map(String::as_str);
    let present = present(&eligible, name, quota_mb)?;
    let next = eligible.iter().find(|size| size.memory > present.memory && lasts(size.megabytes()))?;
    Some(RightSize {
        size: next.name.clone(),
        memory_mb: next.megabytes().round() as u64,
        cost_difference: difference(present, next),
    })
}

/// The present size: by its name, or the only one with this quota.
fn present<'s>(eligible: &[&'s DynoSize], name: Option<&str>, quota_mb: f64) -> Option<&'s DynoSize> {
    let mut same =
        eligible.iter().filter(|size| (size.megabytes() - quota_mb).abs() < size.megabytes() / 20.0);
    match name {
        Some(name) => same.find(|size| size.name.eq_ignore_ascii_case(name)).copied(),
        None => same.next().copied().filter(|_| same.next().is_none()),
    }
}

fn difference(present: &DynoSize, next: &DynoSize) -> Option<Cost> {
    let (present, next) = (present.cost.as_ref()?, next.cost.as_ref()?);
    (present.unit == next.unit)
        .then(|| Cost { cents: next.cents.saturating_sub(present.cents), unit: next.unit.clone() })
}

// === impl DynoSize ===

impl DynoSize {
    pub fn megabytes(&self) -> f64 {
        self.memory * 1024.0
    }

    fn is_fir(&self) -> bool {
        let name = self.generation.get("name").unwrap_or(&self.generation);
        name.as_str() == Some("fir")
    }

    fn fits(&self, tenancy: &Tenancy) -> bool {
        match (tenancy.is_fir, tenancy.in_space) {
            (true, _) => self.is_fir(),
            (false, true) => self.private_space_only && !self.is_fir(),
            (false, false) => !self.private_space_only && !self.is_fir(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cost, Tenancy, dyno_sizes, right_size};

    const SIZES: &str = r#"[
        {"name": "dyno-2c-1gb", "memory": 1, "cost": {"cents": 4000, "unit": "month"},
         "generation": {"id": "g", "name": "fir"}, "private_space_only": true},
        {"name": "Private-S", "memory": 1, "cost": {"cents": 12500, "unit": "month"},
         "generation": {"name": "cedar"}, "private_space_only": true},
        {"name": "Eco", "memory": 0.5, "cost": {"cents": 500, "unit": "month"}, "generation": {"name": "cedar"}},
        {"name": "Standard-1X", "memory": 0.5, "cost": {"cents": 2500, "unit": "month"},
         "generation": {"name": "cedar"}, "private_space_only": false},
        {"name": "Performance-M", "memory": 2.5, "cost": {"cents": 25000, "unit": "month"}},
        {"name": "Standard-2X", "memory": 1, "cost": {"cents": 5000, "unit": "month"},
         "generation": {"name": "cedar"}},
        {"name": "odd"},
        {"name": "Private-M", "memory": 2.5, "cost": null, "private_space_only": true}
    ]"#;

    #[track_caller]
    fn check(tenancy: (bool, bool, Option<&str>), quota_mb: f64, needed_mb: f64, expect: Option<&str>) {
        let sizes = dyno_sizes(SIZES.as_bytes()).expect("sizes");
        assert_eq!(sizes.len(), 7);
        let (is_fir, in_space, size) = tenancy;
        let sizes_now = size.map(|size| ("web".to_owned(), size.to_owned())).into_iter().collect();
        let tenancy = Tenancy { is_fir, in_space, sizes: sizes_now };
        let found = right_size(&sizes, &tenancy, ("web", quota_mb), |megabytes| megabytes >= needed_mb);
        let shown = found.map(|found| {
            let cents = found.cost_difference.map_or(0, |Cost { cents, .. }| cents);
            format!("{} {} {cents}", found.size, found.memory_mb)
        });
        assert_eq!(shown.as_deref(), expect);
    }

    #[test]
    fn the_smallest_size_that_lasts_is_right() {
        let common = (false, false, Some("standard-1x"));
        check(common, 512.0, 700.0, Some("Standard-2X 1024 2500"));
        check(common, 512.0, 1500.0, Some("Performance-M 2560 22500"));
        check(common, 512.0, 3000.0, None);
        check((false, false, Some("Eco")), 512.0, 700.0, Some("Standard-2X 1024 4500"));
        // Two sizes have this quota.
        check((false, false, None), 512.0, 700.0, None);
        check((false, false, None), 1024.0, 1500.0, Some("Performance-M 2560 20000"));
        // The settings of the platform have moved on since the lines.
        check((false, false, Some("Performance-M")), 512.0, 700.0, None);
        check((false, true, Some("Private-S")), 1024.0, 1500.0, Some("Private-M 2560 0"));
        check((true, true, Some("dyno-2c-1gb")), 1024.0, 1500.0, None);
    }

    #[test]
    fn a_list_is_expected() {
        assert!(dyno_sizes(b"{}").is_err());
        assert!(dyno_sizes(b"<html>").is_err());
    }
}
