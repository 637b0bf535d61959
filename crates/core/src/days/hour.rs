//! The steps of an hour that is being filled, without space for those that are missing.
//!
//! There is one of these for each dyno, and an array of all steps is ten times as large as one with a step.

use crate::days::step::{STEPS_PER_HOUR, Step};

#[derive(Clone, Debug, Default)]
pub struct OpenHour {
    /// One bit for each step of the hour, the first one the lowest.
    present: u16,
    /// Those that are present, in order.
    steps: Vec<Step>,
}

impl OpenHour {
    /// A step, numbered from the epoch, which is created if it is missing.
    pub fn step_mut(&mut self, index: i64) -> &mut Step {
        let bit = 1_u16 << index.rem_euclid(STEPS_PER_HOUR);
        let at = (self.present & (bit - 1)).count_ones() as usize;
        if self.present & bit == 0 {
            self.present |= bit;
            // One in five minutes.
            self.steps.reserve_exact(1);
            self.steps.insert(at, Step::default());
        }
        &mut self.steps[at]
    }

    /// The steps with their places in the hour.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &Step)> {
        let places = (0..u16::BITS as usize).filter(|place| self.present & (1 << place) != 0);
        places.zip(&self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::OpenHour;
    use crate::days::step::STEPS_PER_HOUR;

    #[test]
    fn steps_are_where_they_were_added_in_any_order() {
        let mut hour = OpenHour::default();
        for place in [7, 0, 11, 3, 7, 3, 7] {
            hour.step_mut(STEPS_PER_HOUR * 1000 + place).requests += 1;
        }
        let found: Vec<_> = hour.steps().map(|(place, step)| (place, step.requests)).collect();
        assert_eq!(found, [(0, 1), (3, 2), (7, 3), (11, 1)]);
        assert_eq!(hour.steps.capacity(), 4);
    }
}
