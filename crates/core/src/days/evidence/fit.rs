//! Least squares by normal equations, in which some coefficients cannot be negative.

/// Sums of products of the columns of all rows. The last column is the one to be explained.
#[derive(Clone, Debug)]
pub struct Sums {
    columns: usize,
    /// The lower triangle, row by row.
    products: Vec<f64>,
    rows: usize,
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// For each column; 0 for one that does not take part.
    pub coefficients: Vec<f64>,
    /// The standard error of each coefficient, of those that take part.
    pub errors: Vec<Option<f64>>,
    /// The sum of squares that is not explained.
    pub rest: f64,
    /// The variance of a row that is not explained.
    pub variance: f64,
}

/// The part of its own sum of squares that is added to each column: what keeps equal columns apart.
const RIDGE: f64 = 1e-6;

/// How often the descent goes over all columns, at most: some milliseconds.
const SWEEPS_MAX: usize = 2000;

/// A step, as a part of what is explained, after which the descent ends.
const TOLERANCE: f64 = 1e-9;

/// A column that the others explain but for this part of its sum of squares does not take part.
const PIVOT_LEAST: f64 = 1e-9;

// === impl Sums ===

impl Sums {
    /// No rows yet, of this many columns besides the one to be explained.
    pub fn new(columns: usize) -> Self {
        let columns = columns + 1;
        Self { columns, products: vec![0.0; columns * (columns + 1) / 2], rows: 0 }
    }

    /// Adds a row: the values of its columns, and then the one to be explained. A row with a value that is no
    /// number is left out.
    pub fn add(&mut self, row: &[f64]) {
        let is_valid = row.len() == self.columns && row.iter().all(|value| value.is_finite());
        if !is_valid {
            return;
        }
        self.rows += 1;
        let mut place = 0;
        for (column, left) in row.iter().enumerate() {
            for right in &row[..=column] {
                self.products[place] += left * right;
                place += 1;
            }
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    fn product(&self, left: usize, right: usize) -> f64 {
        let (low, high) = (left.min(right), left.max(right));
        self.products[high * (high + 1) / 2 + low]
    }

    /// The coefficients that explain the last column best. Those of the columns for which `is_free` is false
    /// are not negative. None if there are too few rows, or the numbers are too large.
    pub fn solve(&self, is_free: impl Fn(usize) -> bool) -> Option<Fit> {
        self.solve_without(|_| false, is_free)
    }

    /// The same, without the columns for which `is_out` is true.
    pub fn solve_without(
        &self,
        is_out: impl Fn(usize) -> bool,
        is_free: impl Fn(usize) -> bool,
    ) -> Option<Fit> {
        let columns = self.columns - 1;
        let scales: Vec<f64> = (0..columns).map(|column| self.product(column, column).sqrt()).collect();
        let is_usable = |column: &usize| scales[*column].is_finite() && scales[*column] > 0.0;
        let usable: Vec<usize> =
            (0..columns).filter(|column| is_usable(column) && !is_out(*column)).collect();
        let near = self.descend(&usable, &scales, &is_free);
        let takes_part = |place: &usize| is_free(usable[*place]) || near[*place] > 0.0;
        let mut members: Vec<usize> =
            (0..usable.len()).filter(takes_part).map(|place| usable[place]).collect();
        // The exact solution of these; one that would be negative leaves.
        loop {
            let (solved, kept) = self.solve_members(&members, &scales)?;
            let is_sound = |(column, value): &(&usize, &f64)| is_free(**column) || **value > 0.0;
            let sound: Vec<usize> =
                kept.iter().zip(&solved).filter(is_sound).map(|(column, _)| *column).collect();
            if sound.len() == kept.len() {
                return self.fit(&kept, &solved, &scales);
            }
            members = sound;
        }
    }

    /// Goes down along one column after the other, to where no column helps; of columns of length 1.
    fn descend(&self, usable: &[usize], scales: &[f64], is_free: &impl Fn(usize) -> bool) -> Vec<f64> {
        let target = self.columns - 1;
        let of = |left: usize, right: usize| self.product(left, right) / scales[left];
        let rows: Vec<Vec<f64>> = usable
            .iter()
            .map(|left| usable.iter().map(|right| of(*left, *right) / scales[*right]).collect())
            .collect();
        let wanted: Vec<f64> = usable.iter().map(|column| of(*column, target)).collect();
        let enough = TOLERANCE * self.product(target, target).sqrt();
        let mut values = vec![0.0; usable.len()];
        for _ in 0..SWEEPS_MAX {
            let mut moved = 0.0_f64;
            for place in 0..values.len() {
                let explained: f64 = rows[place].iter().zip(&values).map(|(left, right)| left * right).sum();
                let best = values[place] + (wanted[place] - explained) / (1.0 + RIDGE);
                let next = if is_free(usable[place]) { best } else { best.max(0.0) };
                moved = moved.max((next - values[place]).abs());
                values[place] = next;
            }
            if moved.is_nan() || moved <= enough {
                break;
            }
        }
        values
    }

    /// Solves the equations of some columns; without those that others explain.
    fn solve_members(&self, members: &[usize], scales: &[f64]) -> Option<(Vec<f64>, Vec<usize>)> {
        let target = self.columns - 1;
        let (factor, kept) = self.factor(members, scales);
        let mut values: Vec<f64> =
            kept.iter().map(|column| self.product(*column, target) / scales[*column]).collect();
        forward(&factor, &mut values);
        backward(&factor, &mut values);
        let values: Vec<f64> =
            values.iter().zip(&kept).map(|(value, column)| value / scales[*column]).collect();
        values.iter().all(|value| value.is_finite()).then_some((values, kept))
    }

    /// The factor of Cholesky of the columns, each scaled to length 1.
    fn factor(&self, members: &[usize], scales: &[f64]) -> (Vec<Vec<f64>>, Vec<usize>) {
        let mut factor: Vec<Vec<f64>> = Vec::new();
        let mut kept: Vec<usize> = Vec::new();
        for &column in members {
            let mut row: Vec<f64> = Vec::with_capacity(kept.len() + 1);
            for (place, &other) in kept.iter().enumerate() {
                let product = self.product(column, other) / (scales[column] * scales[other]);
                let known: f64 = row.iter().zip(&factor[place]).map(|(left, right)| left * right).sum();
                row.push((product - known) / factor[place][place]);
            }
            let pivot = 1.0 + RIDGE - row.iter().map(|value| value * value).sum::<f64>();
            if pivot.is_finite() && pivot > RIDGE + PIVOT_LEAST {
                row.push(pivot.sqrt());
                factor.push(row);
                kept.push(column);
            }
        }
        (factor, kept)
    }

    fn fit(&self, members: &[usize], solved: &[f64], scales: &[f64]) -> Option<Fit> {
        let (columns, target) = (self.columns - 1, self.columns - 1);
        let mut coefficients = vec![0.0; columns];
        members.iter().zip(solved).for_each(|(column, value)| coefficients[*column] = *value);
        let explained: f64 =
            members.iter().zip(solved).map(|(column, value)| value * self.product(*column, target)).sum();
        let rest = (self.product(target, target) - explained).max(0.0);
        let freedom = self.rows.checked_sub(members.len()).filter(|freedom| *freedom > 0)?;
        let variance = rest / freedom as f64;
        let (factor, kept) = self.factor(members, scales);
        let mut errors = vec![None; columns];
        for (place, column) in kept.iter().enumerate() {
            let mut unit = vec![0.0; kept.len()];
            unit[place] = 1.0;
            forward(&factor, &mut unit);
            let inverse: f64 = unit.iter().map(|value| value * value).sum();
            errors[*column] = Some((variance * inverse).sqrt() / scales[*column]);
        }
        let are_finite = coefficients.iter().chain(errors.iter().flatten()).all(|value| value.is_finite());
        (are_finite && rest.is_finite()).then_some(Fit { coefficients, errors, rest, variance })
    }
}

/// Solves the lower triangle.
fn forward(factor: &[Vec<f64>], values: &mut [f64]) {
    for (place, row) in factor.iter().enumerate() {
        let known: f64 = row[..place].iter().zip(values.iter()).map(|(left, right)| left * right).sum();
        values[place] = (values[place] - known) / row[place];
    }
}

/// Solves its transpose.
fn backward(factor: &[Vec<f64>], values: &mut [f64]) {
    for place in (0..factor.len()).rev() {
        let known: f64 = (place + 1..factor.len()).map(|other| factor[other][place] * values[other]).sum();
        values[place] = (values[place] - known) / factor[place][place];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::Sums;

    #[test]
    fn exact_data_gives_the_coefficients() {
        let mut sums = Sums::new(3);
        for step in 0..50 {
            let (a, b, c) = (f64::from(step % 7), f64::from(step % 11), f64::from(step % 3));
            sums.add(&[a, b, c, 2.0 * a + 0.5 * c]);
        }
        let fit = sums.solve(|_| false).expect("a fit");
        for (found, expect) in fit.coefficients.iter().zip([2.0, 0.0, 0.5]) {
            assert!((found - expect).abs() < 1e-3, "{fit:?}");
        }
    }

    #[test]
    fn bound_coefficients_are_not_negative_and_free_ones_may_be() {
        let mut sums = Sums::new(2);
        for step in 0..60 {
            let (a, b) = (f64::from(step % 7), f64::from(step % 5));
            sums.add(&[a, b, 3.0 * a - 2.0 * b]);
        }
        let bound = sums.solve(|_| false).expect("a fit").coefficients;
        assert!(bound[0] > 0.0 && bound[1] == 0.0, "{bound:?}");
        let free = sums.solve(|column| column == 1).expect("a fit").coefficients;
        assert!((free[0] - 3.0).abs() < 1e-3 && (free[1] + 2.0).abs() < 1e-3, "{free:?}");
    }

    #[test]
    fn equal_columns_and_no_rows_are_no_trouble() {
        let mut sums = Sums::new(3);
        assert_eq!(sums.solve(|_| false), None);
        for step in 0..40 {
            let a = f64::from(step % 7);
            sums.add(&[a, a, 0.0, 4.0 * a]);
        }
        sums.add(&[f64::NAN, 1.0, 1.0, 1.0]);
        sums.add(&[1.0]);
        assert_eq!(sums.rows(), 40);
        let fit = sums.solve(|_| false).expect("a fit");
        assert!((fit.coefficients.iter().sum::<f64>() - 4.0).abs() < 1e-3, "{fit:?}");
    }

    proptest! {
        /// At the solution no bound column could still help: the conditions of Karush, Kuhn and Tucker.
        #[test]
        fn the_solution_is_the_best(
            rows in prop::collection::vec(prop::array::uniform6(-20.0..20.0_f64), 12..40),
        ) {
            let mut sums = Sums::new(5);
            rows.iter().for_each(|row| sums.add(row));
            let fit = sums.solve(|column| column == 4).expect("a fit");
            let rest = |values: &[f64]| -> f64 {
                let misfit = |row: &[f64; 6]| {
                    row[5] - values.iter().zip(row).map(|(value, cell)| value * cell).sum::<f64>()
                };
                rows.iter().map(|row| misfit(row) * misfit(row)).sum()
            };
            let best = rest(&fit.coefficients);
            for column in 0..5 {
                for change in [-0.01, 0.01] {
                    let mut other = fit.coefficients.clone();
                    other[column] += change;
                    if column == 4 || other[column] >= 0.0 {
                        assert!(rest(&other) >= best * (1.0 - 1e-4) - 1e-6, "{column} {change} {fit:?}");
                    }
                }
            }
        }

        #[test]
        fn any_numbers_give_a_fit_or_none(
            rows in prop::collection::vec(prop::array::uniform4(any::<f64>()), 0..20),
        ) {
            let mut sums = Sums::new(3);
            rows.iter().for_each(|row| sums.add(row));
            if let Some(fit) = sums.solve(|column| column == 0) {
                assert!(fit.coefficients.iter().all(|value| value.is_finite()));
                assert!(fit.coefficients[1..].iter().all(|value| *value >= 0.0));
            }
        }
    }
}
